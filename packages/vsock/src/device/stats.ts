/** The device's counters. Each is counted by the code that does what it counts, in plain numbers. */
import { StallClock, type StallCount } from "../connection/stall-clock.ts";
import { noPackets, type PacketCounts } from "../wire/packet-counts.ts";

/** Plain numbers that only grow (but the two that say how many there are now). */
export interface VsockDeviceStats {
  readonly packetsFromGuest: number;
  readonly packetsToGuest: number;
  /** The same packets by operation. */
  readonly opsFromGuest: PacketCounts;
  readonly opsToGuest: PacketCounts;
  readonly bytesFromGuest: number;
  readonly bytesToGuest: number;
  /** Payload bytes handed to handlers where they lay in guest memory. */
  readonly bytesInPlace: number;
  /** Payload bytes copied to host memory, because their handler was slow or the ring wanted its buffers back. */
  readonly bytesCopiedToHost: number;
  /** Payload bytes copied into guest memory; those of them that waited in the host's queue before. */
  readonly bytesCopiedToGuest: number;
  readonly bytesQueuedToGuest: number;
  /** Headers written into guest memory, in bytes. */
  readonly headerBytesToGuest: number;
  /** Heads of the TX ring that handlers hold now. */
  readonly headsHeld: number;
  /** Used buffer notifications that the guest asked for, and those it did not want; of all queues, then by queue. */
  readonly interruptsSent: number;
  readonly interruptsSuppressed: number;
  readonly interrupts: QueueInterrupts;
  readonly waits: DeviceWaits;
  /** Packets that made no sense and were dropped: too short, or from or to another CID. */
  readonly malformedPackets: number;
  /** Handlers that threw; each cost its own connection. */
  readonly handlerErrors: number;
  readonly connectionsOpened: number;
  readonly connectionsOpen: number;
}

interface InterruptCount {
  readonly sent: number;
  readonly suppressed: number;
}

interface QueueInterrupts {
  readonly rx: InterruptCount;
  readonly tx: InterruptCount;
  readonly event: InterruptCount;
}

/** What could not go on, and for how long. */
interface DeviceWaits {
  /** Connections that had bytes for the guest and no credit: the sum over connections. */
  readonly credit: StallCount;
  /** There were packets for the guest, and it had given no buffer for them. */
  readonly buffers: StallCount;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends number ? number : Writable<T[K]> };

export type MutableDeviceStats = Writable<Omit<VsockDeviceStats, "waits">> & {
  readonly waits: { readonly credit: { count: number; ms: number }; readonly buffers: StallClock };
};

export function emptyDeviceStats(): MutableDeviceStats {
  return {
    packetsFromGuest: 0,
    packetsToGuest: 0,
    opsFromGuest: noPackets(),
    opsToGuest: noPackets(),
    bytesFromGuest: 0,
    bytesToGuest: 0,
    bytesInPlace: 0,
    bytesCopiedToHost: 0,
    bytesCopiedToGuest: 0,
    bytesQueuedToGuest: 0,
    headerBytesToGuest: 0,
    headsHeld: 0,
    interruptsSent: 0,
    interruptsSuppressed: 0,
    interrupts: {
      rx: { sent: 0, suppressed: 0 },
      tx: { sent: 0, suppressed: 0 },
      event: { sent: 0, suppressed: 0 },
    },
    waits: { credit: { count: 0, ms: 0 }, buffers: new StallClock() },
    malformedPackets: 0,
    handlerErrors: 0,
    connectionsOpened: 0,
    connectionsOpen: 0,
  };
}
