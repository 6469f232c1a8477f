/** The driver's counters, as it writes them. */
import type { VsockDriverStats } from "./api.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] extends number ? number : Writable<T[K]> };

export type MutableStats = Writable<VsockDriverStats>;

export function emptyStats(): MutableStats {
  return {
    txPackets: 0,
    rxPackets: 0,
    txPayloadBytes: 0,
    rxPayloadBytes: 0,
    txCopied: { userToPacket: 0, packetToRing: 0, header: 0 },
    rxCopied: { toUser: 0, toPrivate: 0 },
    zeroCopySends: 0,
    zeroCopyFallbacks: 0,
    coalescedWrites: 0,
    notificationsSent: 0,
    notificationsSuppressed: 0,
    creditUpdatesSent: 0,
    creditRequestsSent: 0,
    creditStalls: 0,
    creditStallMs: 0,
    ringFullStalls: 0,
    ringFullMs: 0,
    resetsSent: 0,
    resetsReceived: 0,
    connectionsOpened: 0,
    connectionsOpen: 0,
  };
}
