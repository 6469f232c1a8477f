/**
 * The blocks of a heap, as offsets from its first page: small ones in slabs, large ones as runs of pages. Knows
 * nothing of guest memory and touches none of it.
 *
 * A block that is in use has a handle: the first page of its slab or run, and its index in the slab (or WHOLE_RUN).
 */
import {
  HANDLE_SHIFT,
  HOLDER_BITS,
  HOLDER_MASK,
  NO_BLOCK_STARTS_HERE,
  NO_ROOM,
  NOT_IN_USE,
  WHOLE_RUN,
} from "./numbers.ts";
import { PAGE_INSIDE, PAGE_LARGE, PAGE_SLAB, PageRuns } from "./page-runs.ts";
import { CLASS_SIZE, classFor, MAX_SMALL, PAGE_SHIFT, PAGE_SIZE, SLAB_PAGES } from "./size-classes.ts";
import { NOT_A_BLOCK, Slabs } from "./slabs.ts";

/** Alignments are worked out in pages, with 32-bit operators. */
const MAX_ALIGNMENT = PAGE_SIZE * 2 ** 30;

export class Blocks {
  readonly pages: PageRuns;
  readonly slabs: Slabs;
  /** Size in bytes of all pages. */
  readonly bytes: number = 0;
  /** The number of the heap's first page, counted from address 0: alignments above a page are of addresses. */
  readonly #firstPage: number = 0;
  // By first page of a large block:
  readonly #largeLength: Uint32Array;
  readonly #largeHolder: Uint8Array;
  #largePages = 0;
  #largeBlocks = 0;

  constructor(pageCount: number, firstPage: number) {
    this.pages = new PageRuns(pageCount);
    this.slabs = new Slabs(this.pages);
    this.bytes = pageCount * PAGE_SIZE;
    this.#firstPage = firstPage;
    this.#largeLength = new Uint32Array(pageCount);
    this.#largeHolder = new Uint8Array(pageCount);
  }

  get largePages(): number {
    return this.#largePages;
  }

  get largeBlocks(): number {
    return this.#largeBlocks;
  }

  /** Whether a block of so many bytes is cut from a slab. */
  isSmall(bytes: number, alignment: number): boolean {
    return bytes <= MAX_SMALL && alignment <= PAGE_SIZE;
  }

  /** A small block from a slab that is there; its offset, or NO_ROOM. `bytes` are reserved, `length` is noted. */
  takeSmall(bytes: number, alignment: number, length: number, holder: number): number {
    return this.slabs.take(classFor(bytes, alignment), (length << HOLDER_BITS) | holder);
  }

  /** A small block from a new slab. */
  takeSmallFromNewSlab(bytes: number, alignment: number, length: number, holder: number): number {
    const classIndex = classFor(bytes, alignment);
    if (!this.slabs.grow(classIndex)) return NO_ROOM;
    return this.slabs.take(classIndex, (length << HOLDER_BITS) | holder);
  }

  takeLarge(bytes: number, alignment: number, length: number, holder: number): number {
    const count = Math.max(1, Math.ceil(bytes / PAGE_SIZE));
    if (count > this.pages.count || alignment > MAX_ALIGNMENT) return NO_ROOM;
    const first = alignment <= PAGE_SIZE ? this.pages.takeHigh(count) : this.#takeAligned(count, alignment / PAGE_SIZE);
    if (first < 0) return NO_ROOM;
    this.pages.kinds[first] = PAGE_LARGE;
    this.#largeLength[first] = length;
    this.#largeHolder[first] = holder;
    this.#largePages += count;
    this.#largeBlocks++;
    return first * PAGE_SIZE;
  }

  #takeAligned(count: number, alignPages: number): number {
    return this.pages.takeAligned(count, alignPages, (alignPages - (this.#firstPage % alignPages)) % alignPages);
  }

  /** The handle of the block in use at an offset; NO_BLOCK_STARTS_HERE or NOT_IN_USE. Takes any number. */
  find(offset: number): number {
    if (!(offset >= 0 && offset < this.bytes)) return NO_BLOCK_STARTS_HERE;
    const page = offset >>> PAGE_SHIFT;
    const kind = this.pages.kinds[page] as number;
    if (kind === PAGE_SLAB) {
      const slab = this.slabs.slabOf(page);
      const block = this.slabs.indexOf(slab, offset);
      if (block === NOT_A_BLOCK) return NO_BLOCK_STARTS_HERE;
      return this.slabs.note(slab, block) < 0 ? NOT_IN_USE : (slab << HANDLE_SHIFT) | block;
    }
    if (kind === PAGE_LARGE && offset === page * PAGE_SIZE) return (page << HANDLE_SHIFT) | WHOLE_RUN;
    return this.#insideLarge(page) ? NO_BLOCK_STARTS_HERE : NOT_IN_USE;
  }

  /** Whether a page belongs to a large block. Walks back to its first page: only errors come here. */
  #insideLarge(page: number): boolean {
    for (let first = page; first >= 0; first--) {
      const kind = this.pages.kinds[first];
      if (kind === PAGE_LARGE) return first + (this.pages.lengths[first] as number) > page;
      if (kind !== PAGE_INSIDE) return false;
    }
    return false;
  }

  /** The length that was asked for. */
  length(handle: number): number {
    const block = handle & WHOLE_RUN;
    const first = handle >>> HANDLE_SHIFT;
    return block === WHOLE_RUN ? (this.#largeLength[first] as number) : this.slabs.note(first, block) >>> HOLDER_BITS;
  }

  holder(handle: number): number {
    const block = handle & WHOLE_RUN;
    const first = handle >>> HANDLE_SHIFT;
    return block === WHOLE_RUN ? (this.#largeHolder[first] as number) : this.slabs.note(first, block) & HOLDER_MASK;
  }

  /** The bytes that the block takes up. */
  capacity(handle: number): number {
    const first = handle >>> HANDLE_SHIFT;
    if ((handle & WHOLE_RUN) === WHOLE_RUN) return (this.pages.lengths[first] as number) * PAGE_SIZE;
    return CLASS_SIZE[this.slabs.classOf(first)] as number;
  }

  /** Notes a new length for a block whose capacity is enough for it. */
  setLength(handle: number, length: number): void {
    const block = handle & WHOLE_RUN;
    const first = handle >>> HANDLE_SHIFT;
    if (block === WHOLE_RUN) this.#largeLength[first] = length;
    else this.slabs.setNote(first, block, (length << HOLDER_BITS) | (this.slabs.note(first, block) & HOLDER_MASK));
  }

  isLarge(handle: number): boolean {
    return (handle & WHOLE_RUN) === WHOLE_RUN;
  }

  /** Gives or takes pages at the end of a large block. */
  resizeLarge(handle: number, bytes: number): "resized" | "unavailable" {
    const first = handle >>> HANDLE_SHIFT;
    const before = this.pages.lengths[first] as number;
    const after = Math.max(1, Math.ceil(bytes / PAGE_SIZE));
    if (after > before) {
      if (this.pages.takeAt(first + before, after - before) === "unavailable") return "unavailable";
    } else if (after < before) {
      this.pages.release(first + after, before - after);
    }
    this.pages.lengths[first] = after;
    this.#largePages += after - before;
    return "resized";
  }

  free(handle: number): void {
    const block = handle & WHOLE_RUN;
    const first = handle >>> HANDLE_SHIFT;
    if (block !== WHOLE_RUN) {
      this.slabs.free(first, block);
      return;
    }
    const count = this.pages.lengths[first] as number;
    this.pages.kinds[first] = PAGE_INSIDE;
    this.pages.release(first, count);
    this.#largePages -= count;
    this.#largeBlocks--;
  }

  /** Calls `visit` with the offset and the handle of every block in use; a handle below 0 is a free block of a slab. */
  forEach(visit: (offset: number, handle: number) => void): void {
    for (let page = 0; page < this.pages.count; ) {
      const kind = this.pages.kinds[page];
      if (kind === PAGE_SLAB) {
        const classIndex = this.slabs.classOf(page);
        const size = CLASS_SIZE[classIndex] as number;
        for (let block = 0; block < this.slabs.blocksIn(page); block++) {
          const free = this.slabs.note(page, block) < 0;
          visit(page * PAGE_SIZE + block * size, free ? -size : (page << HANDLE_SHIFT) | block);
        }
        page += SLAB_PAGES[classIndex] as number;
      } else {
        if (kind === PAGE_LARGE) visit(page * PAGE_SIZE, (page << HANDLE_SHIFT) | WHOLE_RUN);
        else visit(page * PAGE_SIZE, -(this.pages.lengths[page] as number) * PAGE_SIZE);
        page += this.pages.lengths[page] as number;
      }
    }
  }
}
