/** The numbers of the socket device's wire format (virtio 1.3 §5.10). */

/** §5.10.2: the virtqueues. */
export const QueueIndex = { Rx: 0, Tx: 1, Event: 2 } as const;

/** §5.10.3: feature bit numbers (not masks). */
export const VsockFeature = { Stream: 0, Seqpacket: 1, NoImpliedStream: 2 } as const;

/** §5.10.6: what a packet asks for. INVALID is never sent. */
export const Op = {
  Invalid: 0,
  Request: 1,
  Response: 2,
  Rst: 3,
  Shutdown: 4,
  Rw: 5,
  CreditUpdate: 6,
  CreditRequest: 7,
} as const;

export type Op = (typeof Op)[keyof typeof Op];

export function isOp(value: number): value is Op {
  return value >= Op.Invalid && value <= Op.CreditRequest;
}

const opNames: Readonly<Record<Op, string>> = {
  0: "INVALID",
  1: "REQUEST",
  2: "RESPONSE",
  3: "RST",
  4: "SHUTDOWN",
  5: "RW",
  6: "CREDIT_UPDATE",
  7: "CREDIT_REQUEST",
};

/** The spec's name of an operation, for logs. */
export function opName(op: number): string {
  return isOp(op) ? opNames[op] : `op ${op}`;
}

/** §5.10.6.2: the socket types. Streams only here: seqpacket is neither offered nor wanted. */
export const SocketType = { Stream: 1, Seqpacket: 2 } as const;

/** §5.10.6.5: flags of SHUTDOWN. Permanent: later packets can set more of them, never clear one. */
export const ShutdownFlag = {
  /** The sender of the packet will receive no more. */
  Receive: 1,
  /** The sender of the packet will send no more. */
  Send: 2,
  Both: 3,
} as const;

/**
 * Largest payload of a packet, in bytes. The spec names no limit; Linux' VIRTIO_VSOCK_MAX_PKT_BUF_SIZE is 64 KiB, and
 * its device drops what is longer.
 */
export const MAX_PAYLOAD = 65_536;
