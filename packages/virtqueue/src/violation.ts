/** What a peer can do wrong on a virtqueue. A value, not an exception: the queue is broken, its owner decides. */

export type ViolationKind =
  // what a device finds wrong in a driver
  | "avail-index-jump"
  | "head-out-of-range"
  | "head-in-flight"
  | "next-out-of-range"
  | "chain-loop"
  | "chain-too-long"
  | "chain-over-4-gib"
  | "address-out-of-range"
  | "readable-after-writable"
  | "indirect-not-negotiated"
  | "indirect-with-next"
  | "indirect-nested"
  | "indirect-bad-table"
  // what a driver finds wrong in a device
  | "used-index-jump"
  | "used-id-out-of-range"
  | "used-id-not-in-flight"
  | "used-length-too-long";

export interface QueueViolation {
  readonly kind: ViolationKind;
  /** The section of virtio 1.3 that was broken, such as `2.7.5.3.1`. */
  readonly section: string;
  /** One sentence with the values, for a log. */
  readonly message: string;
}

/** Puts a violation together; happens at most once in the life of a queue. */
export function violation(kind: ViolationKind, section: string, message: string): QueueViolation {
  return { kind, section, message };
}
