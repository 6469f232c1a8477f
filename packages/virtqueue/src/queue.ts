/**
 * The two faces of a virtqueue. `DriverQueue` is what a driver works with, `DeviceQueue` what a device works with; the
 * split ring (this package) and later the packed ring implement both. No call here allocates, throws for what the peer
 * did, or waits.
 */
import type { GuestAddress, GuestMemory } from "@toril/memory";
import type { QueueViolation } from "./violation.ts";

/** The driver's side: it owns the buffers, and makes them available to the device. */
export interface DriverQueue<Token> {
  readonly size: number;
  readonly memory: GuestMemory;
  /** Ring slots and descriptors that are free now; `beginChain(n)` succeeds when n fits. */
  readonly free: number;
  /** Chains the device has, published or not. */
  readonly inFlight: number;
  /** What the device did wrong; from then on nothing is added or returned until `reset`. */
  readonly violation: QueueViolation | undefined;

  /**
   * A chain of one buffer that the device reads, in one call: `beginChain(1)`, `addReadable`, `endChain(token)`, at half
   * their cost. `false` when there is no room.
   */
  lendReadable(address: number, length: number, token: Token): boolean;
  /** The same with a buffer that the device writes. */
  lendWritable(address: number, length: number, token: Token): boolean;

  /**
   * Starts a chain of exactly `segments` buffers. `false` when there is no room: nothing has changed, try again after
   * `poll` has returned something. Then call `addReadable` for each buffer that the device reads, then `addWritable`
   * for each that it writes (§2.7.4.2: readable first), then `endChain`.
   * @throws RangeError when `segments` is not 1 … size (or the indirect limit).
   */
  beginChain(segments: number): boolean;
  addReadable(address: number, length: number): void;
  addWritable(address: number, length: number): void;
  /** Ends the chain; `poll` returns `token` when the device has used it. Not visible to the device before `publish`. */
  endChain(token: Token): void;

  /**
   * Makes all ended chains visible to the device, in one store (§2.7.13.3). `true`: the device asked to be notified
   * (§2.7.10), so call the transport's `notify`.
   */
  publish(): boolean;

  /** The token of the next used chain; `undefined` when there is none. Its written length is in `usedLength`. */
  poll(): Token | undefined;
  /** Bytes the device says it wrote into the chain that `poll` returned last; never more than was writable. */
  readonly usedLength: number;

  /** Asks for used buffer notifications, then looks once more: `true` when used chains are waiting (do not sleep). */
  armUsedNotifications(): boolean;
  /** Asks the device not to notify. */
  suppressUsedNotifications(): void;

  /** After the device was reset: forgets everything, zeroes the rings, and returns the tokens that were in flight. */
  reset(): Token[];
}

/**
 * A chain of buffers that a device took from the ring. A reusable object: `DeviceQueue.next` fills it. All addresses
 * and lengths were read once from guest memory and lie within it; readable segments come before writable ones.
 */
export interface Chain {
  /** Head descriptor index: names the chain in `complete`. */
  readonly head: number;
  /** Number of segments; the first `readableCount` of them are for the device to read. */
  readonly count: number;
  readonly readableCount: number;
  readonly readableBytes: number;
  readonly writableBytes: number;
  /** Guest address of segment i (0 … count - 1). */
  address(i: number): GuestAddress;
  /** Length of segment i in bytes. */
  length(i: number): number;
  /** The bytes of segment i, in place. Allocates a view. */
  view(i: number): Uint8Array;
  /** Copies readable bytes, from `offset` in the chain's readable part on, into `target`; returns how many. */
  read(offset: number, target: Uint8Array): number;
  /** Copies `source` to the writable part from `offset` on; returns how many bytes fitted. */
  write(offset: number, source: Uint8Array): number;
}

/** The device's side: it takes chains, and returns each exactly once, in any order. */
export interface DeviceQueue {
  readonly size: number;
  readonly memory: GuestMemory;
  /** Chains taken and not yet completed. */
  readonly outstanding: number;
  /** What the driver did wrong; from then on `next` returns false until the device is reset. */
  readonly violation: QueueViolation | undefined;

  /** A chain object for `next`; keep one per loop, or one per chain that is held. */
  createChain(): Chain;
  /** Takes the next available chain. `false` when there is none, or the queue is broken. */
  next(chain: Chain): boolean;
  /**
   * Returns a chain: `written` bytes of its writable part were filled, from its start. Visible after `publish`.
   * @throws RangeError when `head` is not outstanding or `written` exceeds its writable part (the device's bug).
   */
  complete(head: number, written: number): void;
  /** Makes all completions visible in one store. `true`: the driver asked for an interrupt (§2.7.7). */
  publish(): boolean;

  /** Asks for available buffer notifications, then looks once more: `true` when chains are waiting (do not sleep). */
  armAvailableNotifications(): boolean;
  /** Asks the driver not to notify. */
  suppressAvailableNotifications(): void;
}
