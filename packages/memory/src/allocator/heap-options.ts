/** How a heap is made, and whether its range can be one. */
import type { GuestAddress } from "../guest-address.ts";
import type { GuestMemory } from "../guest-memory.ts";
import type { MemoryRegion } from "../region.ts";
import { firstPageOf } from "./control-block.ts";
import { GRANULE, PAGE_SIZE } from "./size-classes.ts";

export interface HeapOptions {
  readonly memory: GuestMemory;
  /** Where the heap's range starts; a multiple of 16. */
  readonly base: GuestAddress;
  /** Size of the range in bytes: all of it in one region of `memory`, at most 4 GiB. Up to a page goes to the heap itself. */
  readonly size: number;
  /** The core that owns the heap; named in errors. */
  readonly core?: number;
  /**
   * `guarded`: each block is followed by canaries and free memory is painted, so that overruns and late writes are
   * found; calls cost as much as touching the block. `unguarded` unless told.
   */
  readonly guarded?: "guarded" | "unguarded";
}

/** Page numbers are kept in 32 bits, and offsets in the heap as unsigned 32-bit numbers. */
const MAX_HEAP = 2 ** 32;

export interface HeapRange {
  readonly region: MemoryRegion;
  /** Address of the first page. */
  readonly origin: GuestAddress;
  readonly pages: number;
}

/** @throws RangeError when the range is not in one region, has no room for a page, or is larger than 4 GiB. */
export function heapRange(memory: GuestMemory, base: GuestAddress, size: number): HeapRange {
  const region = memory.locate(base, size);
  const origin = firstPageOf(base);
  const pages = Math.floor((base + size - origin) / PAGE_SIZE);
  if (region === undefined || !(pages >= 1 && size <= MAX_HEAP) || base % GRANULE !== 0) {
    throw new RangeError(
      `a heap of ${size} bytes at guest address ${base} cannot be made: give it a multiple of 16 as base, and 8 KiB to 4 GiB in one region`,
    );
  }
  return { region, origin, pages };
}
