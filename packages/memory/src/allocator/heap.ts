/**
 * One core's allocator over its own range of guest memory. Cores share no heap: nothing here is locked, and only the
 * core that made a heap calls it.
 *
 * Blocks up to MAX_SMALL come from slabs of their size class (slabs.ts), larger ones and those aligned to more than a
 * page are runs of pages (page-runs.ts). What the heap knows of its blocks lies in host memory, out of the reach of
 * stray writes.
 */
import { type DmaAllocator, DmaBuffer } from "../dma-buffer.ts";
import { alignUp, type GuestAddress } from "../guest-address.ts";
import type { GuestMemory } from "../guest-memory.ts";
import { HeapError } from "./heap-error.ts";
import { PAGE_INSIDE, PAGE_LARGE, PAGE_SLAB, PageRuns } from "./page-runs.ts";
import { classFor, GRANULE, MAX_SMALL, PAGE_SHIFT, PAGE_SIZE } from "./size-classes.ts";
import { NOT_A_BLOCK, Slabs } from "./slabs.ts";

export interface HeapOptions {
  readonly memory: GuestMemory;
  /** Where the heap's range starts. */
  readonly base: GuestAddress;
  /** Size of the range in bytes; all of it in one region of `memory`, at most 4 GiB. */
  readonly size: number;
  /** The core that owns it, for messages. */
  readonly core?: number;
}

const NONE = -1;
/** The heap keeps this much at the start of its range for the list of blocks that other cores free. */
export const CONTROL_BYTES = 64;
const MAX_HEAP = 2 ** 32;

/** Who may free a block. */
const RAW = 0;
const DMA = 1;

export class Heap implements DmaAllocator {
  readonly memory: GuestMemory;
  readonly base: GuestAddress;
  readonly size: number;
  readonly core: number | undefined;
  readonly #origin: GuestAddress;
  readonly #bytes: number;
  readonly #pages: PageRuns;
  readonly #slabs: Slabs;
  /** By first page of a large block: its length in bytes, and who holds it. */
  readonly #largeLength: Uint32Array;
  readonly #largeHolder: Uint8Array;
  readonly #freeDma = (buffer: DmaBuffer): void => this.#free(buffer.address, DMA);
  #bytesInUse = 0;
  #peakBytesInUse = 0;
  #blocksInUse = 0;
  #failures = 0;

  /** @throws RangeError when the range is not in one region, too small for a page, or larger than 4 GiB. */
  constructor({ memory, base, size, core }: HeapOptions) {
    const origin =
      alignUp(base, PAGE_SIZE) - base < CONTROL_BYTES ? alignUp(base, PAGE_SIZE) + PAGE_SIZE : alignUp(base, PAGE_SIZE);
    const count = Math.floor((base + size - origin) / PAGE_SIZE);
    if (!memory.contains(base, size) || count < 1 || size > MAX_HEAP) {
      throw new RangeError(
        `a heap of ${size} bytes at ${base} cannot be made: give it two pages or more in one region`,
      );
    }
    this.memory = memory;
    this.base = base;
    this.size = size;
    this.core = core;
    this.#origin = origin as GuestAddress;
    this.#bytes = count * PAGE_SIZE;
    this.#pages = new PageRuns(count);
    this.#slabs = new Slabs(this.#pages);
    this.#largeLength = new Uint32Array(count);
    this.#largeHolder = new Uint8Array(count);
  }

  /**
   * A block of `length` bytes; `undefined` when there is no room for it. It holds whatever was there before.
   * @param alignment a power of two, in bytes; 16 unless told.
   * @throws RangeError when the length is no non-negative integer or the alignment no power of two.
   */
  allocate(length: number, alignment: number = GRANULE): GuestAddress | undefined {
    const offset = this.#take(length, alignment, RAW);
    return offset === NONE ? undefined : ((this.#origin + offset) as GuestAddress);
  }

  /** A block with an owner; see DmaBuffer. */
  allocateDma(length: number, alignment: number = GRANULE): DmaBuffer | undefined {
    const offset = this.#take(length, alignment, DMA);
    if (offset === NONE) return undefined;
    return new DmaBuffer(this.memory, (this.#origin + offset) as GuestAddress, length, this.#freeDma);
  }

  /**
   * Takes a block back.
   * @throws HeapError when no block starts at the address, it is free already, or it belongs to a DmaBuffer.
   */
  free(address: GuestAddress): void {
    this.#free(address, RAW);
  }

  #take(length: number, alignment: number, holder: number): number {
    if (length < 0 || !Number.isSafeInteger(length)) throw new RangeError(`a block of ${length} bytes cannot be made`);
    if (!(alignment > 0 && 2 ** Math.round(Math.log2(alignment)) === alignment)) {
      throw new RangeError(`an alignment of ${alignment} bytes cannot be met: give a power of two`);
    }
    const offset =
      length <= MAX_SMALL && alignment <= PAGE_SIZE
        ? this.#slabs.allocate(classFor(length, alignment), length, holder)
        : this.#takeLarge(length, alignment, holder);
    if (offset === NONE) {
      this.#failures++;
      return NONE;
    }
    this.#blocksInUse++;
    this.#bytesInUse += length;
    if (this.#bytesInUse > this.#peakBytesInUse) this.#peakBytesInUse = this.#bytesInUse;
    return offset;
  }

  #takeLarge(length: number, alignment: number, holder: number): number {
    const pages = Math.max(1, Math.ceil(length / PAGE_SIZE));
    if (pages > this.#pages.count || alignment > this.#bytes) return NONE;
    const alignPages = alignment / PAGE_SIZE;
    const first =
      alignPages <= 1
        ? this.#pages.takeHigh(pages)
        : this.#pages.takeAligned(
            pages,
            alignPages,
            (alignPages - ((this.#origin / PAGE_SIZE) % alignPages)) % alignPages,
          );
    if (first === NONE) return NONE;
    this.#pages.kinds[first] = PAGE_LARGE;
    this.#largeLength[first] = length;
    this.#largeHolder[first] = holder;
    return first * PAGE_SIZE;
  }

  #free(address: GuestAddress, holder: number): void {
    const offset = address - this.#origin;
    if (!(offset >= 0 && offset < this.#bytes)) throw this.#foreign(address);
    const page = offset >>> PAGE_SHIFT;
    const kind = this.#pages.kinds[page];
    if (kind === PAGE_SLAB) {
      const slab = this.#slabs.slabOf(page);
      const block = this.#slabs.find(slab, offset);
      if (block === NOT_A_BLOCK) throw this.#foreign(address);
      const word = this.#slabs.inspect(slab, block);
      if (word < 0) throw this.#doubleFree(address);
      if ((word & 3) !== holder) throw this.#held(address);
      this.#slabs.free(slab, block);
      this.#bytesInUse -= word >>> 2;
    } else if (kind === PAGE_LARGE && offset % PAGE_SIZE === 0) {
      if (this.#largeHolder[page] !== holder) throw this.#held(address);
      this.#pages.kinds[page] = PAGE_INSIDE;
      this.#pages.release(page, this.#pages.lengths[page] as number);
      this.#bytesInUse -= this.#largeLength[page] as number;
    } else {
      throw this.#doubleFree(address);
    }
    this.#blocksInUse--;
  }

  #foreign(address: GuestAddress): HeapError {
    return new HeapError("ERR_HEAP_FOREIGN", address, `no block starts at ${address}`, "free what allocate gave");
  }

  #doubleFree(address: GuestAddress): HeapError {
    return new HeapError("ERR_HEAP_DOUBLE_FREE", address, `no block is in use at ${address}`, "free each block once");
  }

  #held(address: GuestAddress): HeapError {
    return new HeapError("ERR_HEAP_HELD", address, `the block at ${address} belongs to a DmaBuffer`, "free that");
  }
}
