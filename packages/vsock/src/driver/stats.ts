/** The driver's counters. Each is counted by the code that does what it counts, in plain numbers. */
import type { NotificationCount } from "@toril/virtio";
import type { StallCount } from "../connection/stall-clock.ts";
import { noPackets, type PacketCounts } from "../wire/packet-counts.ts";

/** Plain numbers that only grow (but `connectionsOpen`), readable at any time. */
export interface VsockDriverStats {
  readonly txPackets: number;
  readonly rxPackets: number;
  /** The same packets by operation. */
  readonly txOps: PacketCounts;
  readonly rxOps: PacketCounts;
  readonly txPayloadBytes: number;
  readonly rxPayloadBytes: number;
  readonly txCopied: TxCopied;
  readonly rxCopied: RxCopied;
  readonly zeroCopySends: number;
  /** Sends on the zero-copy path whose bytes did not lie in guest memory, or were too few to be worth it. */
  readonly zeroCopyFallbacks: number;
  readonly coalescedWrites: number;
  /** All queues. */
  readonly notificationsSent: number;
  readonly notificationsSuppressed: number;
  readonly notifications: QueueNotifications;
  readonly waits: DriverWaits;
  readonly connectionsOpened: number;
  readonly connectionsOpen: number;
}

/** Bytes copied on the way out, by stage. */
interface TxCopied {
  /** Payload: from the user's memory into a packet. */
  readonly userToPacket: number;
  /** Payload: from the packet into a buffer of the TX ring (two-copy). */
  readonly packetToRing: number;
  /** Headers written into guest memory. */
  readonly header: number;
  /** Headers copied once more, with their packet (two-copy). */
  readonly headerToRing: number;
}

/** Bytes copied on the way in. */
interface RxCopied {
  /** To the user's buffer, by `tryRecv` and `tryPeek`. */
  readonly toUser: number;
  /** From a receive buffer that the ring wanted back to private memory. */
  readonly toPrivate: number;
}

interface QueueNotifications {
  readonly rx: Readonly<NotificationCount>;
  readonly tx: Readonly<NotificationCount>;
  readonly event: Readonly<NotificationCount>;
}

/** What could not go on, and for how long. */
interface DriverWaits {
  /** Connections that had bytes, or a user that had some, and no credit: the sum over connections. */
  readonly credit: StallCount;
  /** The TX ring was full, and some connection had a packet. */
  readonly ring: StallCount;
  /** There was no packet memory (or no ring buffer), and some connection wanted it. */
  readonly memory: StallCount;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends number ? number : Writable<T[K]> };

export type MutableStats = Writable<VsockDriverStats>;

export function emptyStats(): MutableStats {
  return {
    txPackets: 0,
    rxPackets: 0,
    txOps: noPackets(),
    rxOps: noPackets(),
    txPayloadBytes: 0,
    rxPayloadBytes: 0,
    txCopied: { userToPacket: 0, packetToRing: 0, header: 0, headerToRing: 0 },
    rxCopied: { toUser: 0, toPrivate: 0 },
    zeroCopySends: 0,
    zeroCopyFallbacks: 0,
    coalescedWrites: 0,
    notificationsSent: 0,
    notificationsSuppressed: 0,
    notifications: {
      rx: { sent: 0, suppressed: 0 },
      tx: { sent: 0, suppressed: 0 },
      event: { sent: 0, suppressed: 0 },
    },
    waits: { credit: { count: 0, ms: 0 }, ring: { count: 0, ms: 0 }, memory: { count: 0, ms: 0 } },
    connectionsOpened: 0,
    connectionsOpen: 0,
  };
}
