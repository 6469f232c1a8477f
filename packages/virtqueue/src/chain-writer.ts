/**
 * Writes a driver's chains to the descriptor table (virtio 1.3 §2.7.5), direct or by way of an indirect table, and notes
 * them in the shadow: the counterpart of the device's chain reader. Wrong use throws, and drops the open chain.
 *
 * The descriptors of a chain come off the free list when it ends, so an open one can be dropped any time.
 */
import { descriptorLink, writeDescriptor } from "./descriptor-table.ts";
import type { DriverShadow } from "./driver-shadow.ts";
import type { IndirectTables } from "./indirect-tables.ts";
import {
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_SIZE,
  DESCRIPTOR_WRITE,
  MAX_CHAIN_BYTES,
  MAX_LENGTH,
} from "./numbers.ts";
import type { RegionCache } from "./region-cache.ts";

/** What `single` answers when no descriptor is free. */
export const NO_ROOM = -1;

const NO_CHAIN = -1;
const DIRECT = -1;

export class ChainWriter<Token> {
  /** 0 first: a field that starts as undefined is never again known to be a small integer. */
  readonly #size: number = 0;
  readonly #table: Uint32Array;
  readonly #indirect: IndirectTables | undefined;
  readonly #regions: RegionCache;
  readonly #shadow: DriverShadow<Token>;

  #segments = 0;
  /** Segments still to come; NO_CHAIN when none is open. */
  #remaining: number = NO_CHAIN;
  /** A direct chain: the next descriptor to fill, and the one filled last. */
  #nextSlot = 0;
  #lastSlot = 0;
  /** An indirect chain: how many descriptors of its table are filled; DIRECT otherwise. */
  #filled: number = DIRECT;
  #bytes = 0;
  #writableBytes = 0;

  constructor(
    table: Uint32Array,
    indirect: IndirectTables | undefined,
    regions: RegionCache,
    shadow: DriverShadow<Token>,
  ) {
    this.#size = table.length / 4;
    this.#table = table;
    this.#indirect = indirect;
    this.#regions = regions;
    this.#shadow = shadow;
  }

  get isOpen(): boolean {
    return this.#remaining !== NO_CHAIN;
  }

  /** A chain of one buffer, in one go: its head, or NO_ROOM. Throws as `begin`, `add` and `end` do. */
  single(address: number, length: number, flags: number, token: Token): number {
    // Most buffers are below 2 GiB. `| 0` tells the engine that it deals with small integers from here on.
    const low = address | 0;
    const bytes = length | 0;
    const isPlain = low === address && bytes === length && bytes > 0 && token !== undefined;
    if (!isPlain || this.#remaining !== NO_CHAIN || !this.#regions.holds(low, bytes)) {
      return this.#inSteps(address, length, flags, token);
    }
    const shadow = this.#shadow;
    if (shadow.free === 0) return NO_ROOM;
    const head = shadow.takeOne((flags & DESCRIPTOR_WRITE) === 0 ? 0 : bytes, token);
    writeDescriptor(this.#table, head, low, bytes, flags);
    return head;
  }

  /** Starts a chain of `segments` buffers; false when there is no room. */
  begin(segments: number): boolean {
    if (this.#remaining !== NO_CHAIN) throw this.drop("a chain was begun before the one before it was ended");
    if (!(segments >= 1 && segments <= this.#size && Number.isInteger(segments))) throw this.#wrongCount(segments);
    const shadow = this.#shadow;
    const indirect = this.#indirect;
    if (indirect !== undefined && segments > 1 && segments <= indirect.maxSegments) {
      if (shadow.free === 0) return false;
      this.#filled = 0;
    } else {
      if (shadow.free < segments) return false;
      this.#filled = DIRECT;
      this.#nextSlot = shadow.firstFree;
    }
    this.#segments = segments;
    this.#remaining = segments;
    this.#bytes = 0;
    this.#writableBytes = 0;
    return true;
  }

  addReadable(address: number, length: number): void {
    // §2.7.4.2: "MUST place any device-writable descriptor elements after any device-readable descriptor elements".
    if (this.#writableBytes > 0) throw this.drop("a readable buffer was added after a writable one");
    this.#add(address, length, 0);
  }

  addWritable(address: number, length: number): void {
    this.#add(address, length, DESCRIPTOR_WRITE);
    this.#writableBytes += length;
  }

  /** Ends the chain, and returns its head. */
  end(token: Token): number {
    if (this.#remaining !== 0) throw this.drop(this.#remaining < 0 ? "no chain is open" : "segments are missing");
    if (token === undefined) throw this.drop("a token is undefined, which is what poll returns for none");
    this.#remaining = NO_CHAIN;
    const shadow = this.#shadow;
    const indirect = this.#indirect;
    if (this.#filled === DIRECT || indirect === undefined) {
      return shadow.take(this.#segments, this.#lastSlot, this.#writableBytes, token);
    }
    // §2.7.5.3: one descriptor that refers to the table.
    const head = shadow.firstFree;
    const tableBytes = this.#segments * DESCRIPTOR_SIZE;
    writeDescriptor(this.#table, head, indirect.address(head), tableBytes, DESCRIPTOR_INDIRECT);
    return shadow.take(1, head, this.#writableBytes, token);
  }

  /** The caller's bug: the open chain is dropped, as if it had not been begun. */
  drop(bug: string): TypeError {
    this.#remaining = NO_CHAIN;
    return new TypeError(`wrong use of a driver queue: ${bug}`);
  }

  /** The open chain, if there is one, is forgotten. */
  reset(): void {
    this.#remaining = NO_CHAIN;
  }

  /** What `single` does with a buffer beyond 2 GiB, or with one that is wrong. */
  #inSteps(address: number, length: number, flags: number, token: Token): number {
    if (!this.begin(1)) return NO_ROOM;
    if (flags === DESCRIPTOR_WRITE) this.addWritable(address, length);
    else this.addReadable(address, length);
    return this.end(token);
  }

  #add(address: number, length: number, flags: number): void {
    const remaining = this.#remaining - 1;
    if (remaining < 0) throw this.drop(this.#remaining < 0 ? "no chain is open" : "the chain has all its segments");
    if (!isLendable(address, length) || !this.#regions.holds(address, length)) throw this.#wrongBuffer(address, length);
    this.#bytes += length;
    if (this.#bytes > MAX_CHAIN_BYTES) throw this.#wrongBuffer(address, length);
    this.#remaining = remaining;
    const indirect = this.#indirect;
    if (this.#filled === DIRECT || indirect === undefined) {
      const slot = this.#nextSlot;
      const next = this.#shadow.after(slot);
      const link = remaining === 0 ? flags : descriptorLink(flags | DESCRIPTOR_NEXT, next);
      writeDescriptor(this.#table, slot, address, length, link);
      this.#lastSlot = slot;
      this.#nextSlot = next;
    } else {
      const at = this.#filled++;
      const link = remaining === 0 ? flags : descriptorLink(flags | DESCRIPTOR_NEXT, at + 1);
      indirect.write(this.#shadow.firstFree, at, address, length, link);
    }
  }

  #wrongCount(segments: number): RangeError {
    const { length } = this.#table;
    return new RangeError(
      `a chain of ${segments} segments: give 1 to ${length / 4}, the size of the queue (§2.7.5.3.1)`,
    );
  }

  #wrongBuffer(address: number, length: number): RangeError {
    this.#remaining = NO_CHAIN;
    if (this.#bytes > MAX_CHAIN_BYTES) return new RangeError("a chain of more than 2^32 bytes (§2.7.5.2)");
    return new RangeError(`${length} bytes at guest address ${address} cannot be lent: empty, or not in guest memory`);
  }
}

/** Whether these are whole numbers, and the length fits a descriptor. The first tests are free for small integers. */
function isLendable(address: number, length: number): boolean {
  if ((address | 0) !== address && !Number.isSafeInteger(address)) return false;
  if ((length | 0) === length) return length > 0;
  return Number.isSafeInteger(length) && length > 0 && length <= MAX_LENGTH;
}
