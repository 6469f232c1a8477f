/** `--json`: the outcome as one document. Times in microseconds; counters are sums over `messages` unless they say otherwise. */
import type { Cell, MachineCell, Outcome, PeerCell } from "./outcome.ts";
import type { Spread } from "./statistics.ts";
import { copiedPerMessage, countedOver, isMachine, type Summary, stagesPerMessage, summarize } from "./summary.ts";

export function jsonDocument(outcome: Outcome): object {
  const { cells, conditions, missing } = outcome;
  return {
    machine: outcome.machine,
    preset: outcome.preset,
    conditions: conditions.description,
    partial: outcome.completeness === "partial",
    rounds: outcome.rounds,
    // Of an entry's own figures; `whenRead` has them with the payload read.
    receiverReadsPayload: false,
    results: cells.filter(isMachine).flatMap(machineEntry),
    peers: cells.filter((cell): cell is PeerCell => !isMachine(cell)).flatMap(peerEntry),
    missing,
  };
}

function machineEntry(cell: MachineCell): object[] {
  const summary = summarize(cell.unread);
  const counted = cell.unread.counted;
  if (summary === undefined || counted === undefined) return [];
  const messages = countedOver(cell.unread);
  const copied = copiedPerMessage(counted, messages);
  const { machine, tx, size, mode, receive } = cell;
  return [
    {
      ...{ machine, tx, size, mode, receive },
      ...figures(summary),
      copiedBytesPerMessage: { tx: copied.tx, rx: copied.rx },
      copiedBytesPerMessageByStage: stagesPerMessage(counted.copies, messages),
      /** What the counters below are sums over. */
      countedMessages: messages,
      packets: counted.packets,
      notifications: counted.notifications,
      notificationsSuppressed: counted.notificationsSuppressed,
      interrupts: counted.interrupts,
      interruptsSuppressed: counted.interruptsSuppressed,
      creditWaitUs: counted.creditWaitUs,
      ringWaitUs: counted.ringWaitUs,
      allocatorWaitUs: counted.allocatorWaitUs,
      deviceCreditWaitUs: counted.deviceCreditWaitUs,
      deviceBufferWaitUs: counted.deviceBufferWaitUs,
      wakeUps: counted.guest.wakeUps,
      asleepUs: counted.guest.asleepUs,
      spinHits: counted.guest.spinHits,
      spinMisses: counted.guest.spinMisses,
      device: counted.device,
      ...(cell.stages === undefined ? {} : { stagesUs: cell.stages }),
      ...whenRead(cell),
    },
  ];
}

function peerEntry(cell: PeerCell): object[] {
  const summary = summarize(cell.unread);
  if (summary === undefined) return [];
  const { name, size, mode } = cell;
  return [{ name, size, mode, ...figures(summary), ...whenRead(cell) }];
}

function whenRead(cell: Cell): object {
  const summary = summarize(cell.read);
  return summary === undefined ? {} : { whenRead: figures(summary) };
}

function figures(summary: Summary): object {
  const { p50Us, p99Us, p999Us, mbPerS, rounds, messages } = summary;
  return {
    p50Us: p50Us.median,
    p99Us: p99Us.median,
    p999Us: p999Us.median,
    mbPerS: mbPerS.median,
    spread: { p50Us: range(p50Us), p99Us: range(p99Us), p999Us: range(p999Us), mbPerS: range(mbPerS) },
    rounds,
    messages,
  };
}

function range({ min, max }: Spread): readonly [number, number] {
  return [min, max];
}
