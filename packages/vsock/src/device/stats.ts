/** The device's counters; plain numbers that only grow (but the two that say how many there are now). */
export interface VsockDeviceStats {
  readonly packetsFromGuest: number;
  readonly packetsToGuest: number;
  readonly bytesFromGuest: number;
  readonly bytesToGuest: number;
  /** Payload bytes handed to handlers where they lay in guest memory. */
  readonly bytesInPlace: number;
  /** Payload bytes copied to host memory, because their handler was slow or the ring wanted its buffers back. */
  readonly bytesCopiedToHost: number;
  /** Payload bytes copied into guest memory; those of them that waited in the host's queue before. */
  readonly bytesCopiedToGuest: number;
  readonly bytesQueuedToGuest: number;
  /** Heads of the TX ring that handlers hold now. */
  readonly headsHeld: number;
  readonly interruptsSent: number;
  readonly interruptsSuppressed: number;
  readonly creditUpdatesSent: number;
  readonly creditRequestsSent: number;
  readonly resetsSent: number;
  readonly resetsReceived: number;
  /** Packets that made no sense and were dropped: too short, or from or to another CID. */
  readonly malformedPackets: number;
  /** Handlers that threw; each cost its own connection. */
  readonly handlerErrors: number;
  readonly connectionsOpened: number;
  readonly connectionsOpen: number;
}

export type MutableDeviceStats = { -readonly [K in keyof VsockDeviceStats]: number };

export function emptyDeviceStats(): MutableDeviceStats {
  return {
    packetsFromGuest: 0,
    packetsToGuest: 0,
    bytesFromGuest: 0,
    bytesToGuest: 0,
    bytesInPlace: 0,
    bytesCopiedToHost: 0,
    bytesCopiedToGuest: 0,
    bytesQueuedToGuest: 0,
    headsHeld: 0,
    interruptsSent: 0,
    interruptsSuppressed: 0,
    creditUpdatesSent: 0,
    creditRequestsSent: 0,
    resetsSent: 0,
    resetsReceived: 0,
    malformedPackets: 0,
    handlerErrors: 0,
    connectionsOpened: 0,
    connectionsOpen: 0,
  };
}
