/**
 * A tap: sees all that goes through a driver's queues, whatever the device, and wherever it is. For captures and
 * traces. Without one nothing is different: the queue is used directly.
 */
import { type GuestMemory, guestAddress } from "@toril/memory";
import type { DriverQueue, QueueViolation } from "@toril/virtqueue";

/** A chain as a tap sees it. */
export interface TappedChain {
  /** What the device reads, in order: views of guest memory, not copies. */
  readonly readable: readonly Uint8Array[];
  /** What the device writes. */
  readonly writable: readonly Uint8Array[];
}

/** Must not throw, keep the views, or write to them. It may take its time: the driver waits. */
export interface QueueTap {
  /** The driver has put the chain together; the device has not seen it yet. */
  available(queueIndex: number, chain: TappedChain): void;
  /** The device has used the chain, and says that it wrote `written` bytes; the driver has not looked yet. */
  used(queueIndex: number, chain: TappedChain, written: number): void;
}

/** The first `limit` bytes of a chain's readable or writable part, in one: a copy, which may be kept. */
export function gatherBytes(pieces: readonly Uint8Array[], limit: number): Uint8Array {
  const total = pieces.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(Math.min(total, limit));
  let at = 0;
  for (const piece of pieces) {
    const part = piece.subarray(0, bytes.length - at);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A chain on its way, with what its driver called it. */
export interface Tapped<Token> extends TappedChain {
  readonly token: Token;
}

/** A driver's queue with a tap on it. */
export class TappedQueue<Token> implements DriverQueue<Token> {
  readonly #queue: DriverQueue<Tapped<Token>>;
  readonly #index: number;
  readonly #tap: QueueTap;
  #readable: Uint8Array[] = [];
  #writable: Uint8Array[] = [];

  constructor(queue: DriverQueue<Tapped<Token>>, index: number, tap: QueueTap) {
    this.#queue = queue;
    this.#index = index;
    this.#tap = tap;
  }

  get size(): number {
    return this.#queue.size;
  }

  get memory(): GuestMemory {
    return this.#queue.memory;
  }

  get free(): number {
    return this.#queue.free;
  }

  get inFlight(): number {
    return this.#queue.inFlight;
  }

  get violation(): QueueViolation | undefined {
    return this.#queue.violation;
  }

  get usedLength(): number {
    return this.#queue.usedLength;
  }

  lendReadable(address: number, length: number, token: Token): boolean {
    if (!this.beginChain(1)) return false;
    this.addReadable(address, length);
    this.endChain(token);
    return true;
  }

  lendWritable(address: number, length: number, token: Token): boolean {
    if (!this.beginChain(1)) return false;
    this.addWritable(address, length);
    this.endChain(token);
    return true;
  }

  beginChain(segments: number): boolean {
    this.#readable = [];
    this.#writable = [];
    return this.#queue.beginChain(segments);
  }

  addReadable(address: number, length: number): void {
    this.#queue.addReadable(address, length);
    this.#readable.push(this.memory.bytes(guestAddress(address), length));
  }

  addWritable(address: number, length: number): void {
    this.#queue.addWritable(address, length);
    this.#writable.push(this.memory.bytes(guestAddress(address), length));
  }

  endChain(token: Token): void {
    const chain = { token, readable: this.#readable, writable: this.#writable };
    this.#queue.endChain(chain);
    this.#tap.available(this.#index, chain);
  }

  publish(): boolean {
    return this.#queue.publish();
  }

  poll(): Token | undefined {
    const chain = this.#queue.poll();
    if (chain === undefined) return undefined;
    this.#tap.used(this.#index, chain, this.#queue.usedLength);
    return chain.token;
  }

  armUsedNotifications(): boolean {
    return this.#queue.armUsedNotifications();
  }

  suppressUsedNotifications(): void {
    this.#queue.suppressUsedNotifications();
  }

  reset(): Token[] {
    return this.#queue.reset().map(({ token }) => token);
  }
}
