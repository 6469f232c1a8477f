/** The outcome for people at a terminal. */

import { pad } from "./columns.ts";
import type { Mode } from "./job.ts";
import type { Cell, MachineCell, Outcome, Rounds } from "./outcome.ts";
import { ratios } from "./ratios.ts";
import { copiedPerMessage, countedOver, isMachine, nameOf, summarize } from "./summary.ts";
import { formatNumber, formatSize } from "./units.ts";

export function formatTable(outcome: Outcome): string {
  const { cells, conditions, missing } = outcome;
  const modes = [...new Set(cells.map(({ mode }) => mode))];
  const partial = outcome.completeness === "partial" ? ["", "PARTIAL: it was ended before all rounds were done."] : [];
  return [
    outcome.machine,
    `Preset ${outcome.preset}: ${conditions.description}. Medians of ${outcome.rounds} interleaved rounds; "read": the receiver reads the payload.`,
    ...partial,
    ...modes.flatMap((mode) => [...matrix(cells, mode), ...details(cells.filter(isMachine), mode)]),
    ...ratioLines(outcome),
    ...missing.map(({ name, reason }) => `Missing: ${name}: ${reason}`),
    `${(outcome.elapsedMs / 1000).toFixed(0)} s in all.`,
    "",
  ].join("\n");
}

/** One line for each subject, one column for each size. */
function matrix(all: readonly Cell[], mode: Mode): string[] {
  const cells = all.filter((cell) => cell.mode === mode);
  const sizes = [...new Set(cells.map(({ size }) => size))];
  const [what, name] =
    mode === "rtt" ? (["Round trip p50 in µs", "p50Us"] as const) : (["One way, MB/s", "mbPerS"] as const);
  const figure = (rounds: Rounds): string => {
    const summary = summarize(rounds);
    return summary === undefined ? "-" : formatNumber(summary[name].median);
  };
  const row = (subject: string): string[] => {
    const own = cells.filter((cell) => nameOf(cell) === subject);
    const columns = sizes.map((size) => own.find((cell) => cell.size === size));
    return [subject, ...columns.map((cell) => (cell ? `${figure(cell.unread)} / ${figure(cell.read)}` : ""))];
  };
  const subjects = [...new Set(cells.map(nameOf))];
  return ["", `${what}: payload not read / read`, pad([["", ...sizes.map(formatSize)], ...subjects.map(row)])];
}

/** What was counted, per message. */
function details(cells: readonly MachineCell[], mode: Mode): string[] {
  const header = [
    ...["", "p50", "p99", "p99.9 µs", "± p50", "MB/s", "copied tx", "rx B", "packets tx", "rx"],
    ...["notified", "suppr.", "wake-ups", "asleep", "credit", "ring", "alloc µs", "spin hit", "miss"],
  ];
  const rows = cells.filter((cell) => cell.mode === mode).flatMap((cell) => detail(cell));
  if (rows.length === 0) return [];
  const what = mode === "rtt" ? "Round trips" : "One way";
  return ["", `${what}, payload not read; counters per message, of the guest's side`, pad([header, ...rows])];
}

function detail(cell: MachineCell): string[][] {
  const summary = summarize(cell.unread);
  const { counted } = cell.unread;
  if (summary === undefined || counted === undefined) return [];
  const messages = countedOver(cell.unread);
  const copied = copiedPerMessage(counted, messages);
  const per = (value: number): string => formatNumber(value / messages);
  const { p50Us, p99Us, p999Us, mbPerS } = summary;
  return [
    [
      `${nameOf(cell)} ${formatSize(cell.size)}`,
      ...[p50Us, p99Us, p999Us].map(({ median }) => formatNumber(median)),
      `${formatNumber(p50Us.min)}…${formatNumber(p50Us.max)}`,
      formatNumber(mbPerS.median),
      ...[formatNumber(copied.tx), formatNumber(copied.rx), per(counted.packets.tx), per(counted.packets.rx)],
      ...[per(counted.notifications), per(counted.notificationsSuppressed)],
      ...[per(counted.guest.wakeUps), per(counted.guest.asleepUs)],
      ...[per(counted.creditWaitUs), per(counted.ringWaitUs), per(counted.allocatorWaitUs)],
      ...[per(counted.guest.spinHits), per(counted.guest.spinMisses)],
    ],
  ];
}

function ratioLines({ cells, preset }: Outcome): string[] {
  const rows = ratios(cells, preset).map(({ what, ratio, target, reached }) => [
    what,
    `${ratio.toFixed(2)}×`,
    target,
    reached ? "reached" : "not reached",
  ]);
  return rows.length === 0 ? [] : ["", "Against what it is to reach", pad(rows), ""];
}
