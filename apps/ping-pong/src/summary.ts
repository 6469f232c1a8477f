/** Cells as figures: medians of the rounds with their spread, counts per message. */
import type { Copies, Counted } from "./measures.ts";
import type { Cell, MachineCell, Rounds } from "./outcome.ts";
import { type Spread, spread } from "./statistics.ts";

export interface Summary {
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  readonly p999Us: Spread;
  readonly mbPerS: Spread;
  readonly rounds: number;
  /** Messages whose times were taken, over all rounds. */
  readonly messages: number;
}

/** `undefined` when no round of it was done. */
export function summarize({ figures }: Rounds): Summary | undefined {
  if (figures.length === 0) return undefined;
  const of = (name: "p50" | "p99" | "p999" | "mbPerS"): Spread => spread(figures.map((round) => round[name]));
  return {
    p50Us: of("p50"),
    p99Us: of("p99"),
    p999Us: of("p999"),
    mbPerS: of("mbPerS"),
    rounds: figures.length,
    messages: figures.reduce((sum, { messages }) => sum + messages, 0),
  };
}

/** Messages that the counters are over: each round counts one more than it times (see job.ts). */
export function countedOver({ figures }: Rounds): number {
  return figures.reduce((sum, { messages }) => sum + messages + 1, 0);
}

/** Bytes copied for one message: on the guest's way out, on its way in, and by the device. */
export function copiedPerMessage({ copies }: Counted, messages: number): { tx: number; rx: number; device: number } {
  const { userToPacket, packetToRing, header, headerToRing, toUser, toPrivate } = copies;
  return {
    tx: (userToPacket + packetToRing + header + headerToRing) / messages,
    rx: (toUser + toPrivate) / messages,
    device: (copies.deviceToGuest + copies.deviceQueue + copies.deviceFromGuest) / messages,
  };
}

export function stagesPerMessage(copies: Copies, messages: number): Copies {
  return {
    userToPacket: copies.userToPacket / messages,
    packetToRing: copies.packetToRing / messages,
    header: copies.header / messages,
    headerToRing: copies.headerToRing / messages,
    toUser: copies.toUser / messages,
    toPrivate: copies.toPrivate / messages,
    deviceToGuest: copies.deviceToGuest / messages,
    deviceQueue: copies.deviceQueue / messages,
    deviceFromGuest: copies.deviceFromGuest / messages,
  };
}

export function nameOf(cell: Cell): string {
  return isMachine(cell) ? `${cell.machine} ${cell.tx}` : cell.name;
}

export function isMachine(cell: Cell): cell is MachineCell {
  return cell.kind === "machine";
}
