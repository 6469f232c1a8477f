/**
 * A chain as the device sees it: a private copy of addresses and lengths, each read once from guest memory and checked.
 * The driver may scribble over its descriptors afterwards, and nothing here changes.
 */
import { addressAt, type GuestAddress, type GuestMemory } from "@toril/memory";
import type { Chain } from "./queue.ts";

/** Segments that a chain object has room for from the start; it grows when a longer chain comes, up to the queue size. */
const INITIAL_SEGMENTS = 64;

/** Copies up to this many bytes go byte by byte: a loop is then cheaper than the view that `set` needs. */
const SHORT_COPY = 64;

export class SplitChain implements Chain {
  /** The queue that fills this object; it refuses others. */
  readonly owner: object;
  head = 0;
  count = 0;
  readableCount = 0;
  readableBytes = 0;
  writableBytes = 0;
  readonly #memory: GuestMemory;
  // Plain arrays: while all is below 2 GiB they hold small integers, which typed arrays would turn into other numbers.
  readonly #addresses: number[];
  readonly #lengths: number[];

  constructor(owner: object, memory: GuestMemory, maxSegments: number) {
    const room = Math.min(maxSegments, INITIAL_SEGMENTS);
    this.owner = owner;
    this.#memory = memory;
    this.#addresses = zeroes(room);
    this.#lengths = zeroes(room);
  }

  /** For the chain reader: puts segment `i`, which has been checked; `finish` makes it count. */
  set(i: number, address: number, length: number): void {
    if (i >= this.#lengths.length) this.#grow();
    this.#addresses[i] = address;
    this.#lengths[i] = length;
  }

  /** For the chain reader: the chain has one segment, which has been checked. */
  setSingle(head: number, address: number, length: number, readableCount: 0 | 1): void {
    this.#addresses[0] = address;
    this.#lengths[0] = length;
    this.head = head;
    this.count = 1;
    this.readableCount = readableCount;
    this.readableBytes = readableCount === 0 ? 0 : length;
    this.writableBytes = readableCount === 0 ? length : 0;
  }

  /** For the chain reader: the segments are all there. */
  finish(head: number, count: number, readableCount: number, readableBytes: number, writableBytes: number): void {
    this.head = head;
    this.count = count;
    this.readableCount = readableCount;
    this.readableBytes = readableBytes;
    this.writableBytes = writableBytes;
  }

  /** @throws RangeError when there is no segment `i`. */
  address(i: number): GuestAddress {
    if (i >= 0 && i < this.count) {
      const address = this.#addresses[i];
      // The chain reader found it in guest memory, so it is an address.
      if (address !== undefined) return address as GuestAddress;
    }
    throw this.#noSegment(i);
  }

  /** @throws RangeError when there is no segment `i`. */
  length(i: number): number {
    if (i >= 0 && i < this.count) {
      const length = this.#lengths[i];
      if (length !== undefined) return length;
    }
    throw this.#noSegment(i);
  }

  /** @throws RangeError when there is no segment `i`. */
  view(i: number): Uint8Array {
    return this.#memory.bytes(this.address(i), this.length(i));
  }

  /** @throws RangeError when `offset` is not 0 or a positive whole number. */
  read(offset: number, target: Uint8Array): number {
    let skip = checkedOffset(offset);
    let done = 0;
    for (let i = 0; i < this.readableCount && done < target.length; i++) {
      const length = this.length(i);
      if (skip < length) {
        const run = Math.min(length - skip, target.length - done);
        this.#copyOut(addressAt(this.address(i), skip), target, done, run);
        done += run;
        skip = 0;
      } else {
        skip -= length;
      }
    }
    return done;
  }

  /** @throws RangeError when `offset` is not 0 or a positive whole number. */
  write(offset: number, source: Uint8Array): number {
    let skip = checkedOffset(offset);
    let done = 0;
    for (let i = this.readableCount; i < this.count && done < source.length; i++) {
      const length = this.length(i);
      if (skip < length) {
        const run = Math.min(length - skip, source.length - done);
        this.#copyIn(addressAt(this.address(i), skip), source, done, run);
        done += run;
        skip = 0;
      } else {
        skip -= length;
      }
    }
    return done;
  }

  #copyOut(from: GuestAddress, target: Uint8Array, at: number, length: number): void {
    const region = length <= SHORT_COPY ? this.#memory.locate(from, length) : undefined;
    if (region !== undefined) {
      const start = from - region.base;
      for (let i = 0; i < length; i++) target[at + i] = region.u8[start + i] ?? 0;
    } else if (length === target.length) {
      this.#memory.read(from, target);
    } else {
      this.#memory.read(from, target.subarray(at, at + length));
    }
  }

  #copyIn(to: GuestAddress, source: Uint8Array, at: number, length: number): void {
    const region = length <= SHORT_COPY ? this.#memory.locate(to, length) : undefined;
    if (region !== undefined) {
      const start = to - region.base;
      for (let i = 0; i < length; i++) region.u8[start + i] = source[at + i] ?? 0;
    } else if (length === source.length) {
      this.#memory.write(to, source);
    } else {
      this.#memory.write(to, source.subarray(at, at + length));
    }
  }

  #grow(): void {
    for (let i = this.#lengths.length; i > 0; i--) {
      this.#addresses.push(0);
      this.#lengths.push(0);
    }
  }

  #noSegment(i: number): RangeError {
    return new RangeError(`segment ${i} of a chain of ${this.count}: give 0 to ${this.count - 1}`);
  }
}

function zeroes(length: number): number[] {
  return Array.from({ length }, () => 0);
}

function checkedOffset(offset: number): number {
  if (Number.isSafeInteger(offset) && offset >= 0) return offset;
  throw new RangeError(`offset ${offset} in a chain: it must be 0 or a positive whole number`);
}
