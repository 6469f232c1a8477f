/** An outcome made up for tests of what is made of one: round numbers, so that a reader can check them. */
import type { MachineKind } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import { PRESETS } from "../conditions.ts";
import type { Mode } from "../job.ts";
import type { Counted, RunFigures } from "../measures.ts";
import type { MachineCell, Outcome, PeerCell, Rounds } from "../outcome.ts";
import type { PeerName } from "../peers/peer.ts";

/** @param p50 microseconds; of each round */
function rounds(p50: readonly number[], mbPerS: number, counted?: Counted): Rounds {
  const figures = p50.map(
    (value): RunFigures => ({ p50: value, p99: value * 2, p999: value * 3, mbPerS, messages: 99 }),
  );
  return { figures, counted };
}

/** Of 300 messages: three rounds, each of which counts one more than it times. */
export const COUNTED: Counted = {
  copies: {
    ...{ userToPacket: 19_200, packetToRing: 19_200, header: 13_200, headerToRing: 13_200 },
    ...{ toUser: 19_200, toPrivate: 0, deviceToGuest: 32_400, deviceQueue: 0, deviceFromGuest: 0 },
  },
  packets: { tx: 300, rx: 303 },
  ...{ notifications: 30, notificationsSuppressed: 570, interrupts: 12, interruptsSuppressed: 588 },
  ...{ creditWaitUs: 600, ringWaitUs: 0, allocatorWaitUs: 0, deviceCreditWaitUs: 0, deviceBufferWaitUs: 0 },
  guest: { wakeUps: 3, asleepUs: 150, spinHits: 297, spinMisses: 3 },
  device: { wakeUps: 6, asleepUs: 90, spinHits: 290, spinMisses: 6 },
};

const STAGES = { hostSends: 0.5, toGuest: 1, guestAsleep: 0, guestSends: 0.5, toHost: 1, hostAsleep: 0, total: 3 };

export function machineCell(
  machine: MachineKind,
  tx: TxPath,
  size: number,
  mode: Mode,
  p50: number,
  mbPerS: number,
): MachineCell {
  return {
    ...{ kind: "machine", machine, tx, size, mode, receive: tx === "zero-copy" ? "borrow" : "copy" },
    unread: rounds([p50, p50 * 2, p50 / 2], mbPerS, COUNTED),
    read: rounds([p50 * 3], mbPerS / 2, COUNTED),
    stages: mode === "rtt" ? STAGES : undefined,
  };
}

export function peerCell(name: PeerName, size: number, mode: Mode, p50: number, mbPerS: number): PeerCell {
  return { kind: "peer", name, size, mode, unread: rounds([p50], mbPerS), read: rounds([p50], mbPerS) };
}

export const OUTCOME: Outcome = {
  machine: "2 × a processor <of tests>",
  conditions: PRESETS.default,
  preset: "default",
  cells: [
    machineCell("dedicated", "two-copy", 64, "rtt", 4, 32),
    machineCell("dedicated", "zero-copy", 64, "rtt", 3, 40),
    machineCell("dedicated", "two-copy", 65_536, "bulk", 20, 3_000),
    machineCell("dedicated", "zero-copy", 65_536, "bulk", 5, 12_000),
    peerCell("node-unix", 64, "rtt", 33, 4),
    peerCell("c-spin", 64, "rtt", 0.25, 500),
    peerCell("node-unix", 65_536, "bulk", 30, 2_000),
  ],
  missing: [{ name: "c-futex", reason: "there is no gcc to compile it with" }],
  rounds: 3,
  elapsedMs: 12_345,
  completeness: "complete",
};
