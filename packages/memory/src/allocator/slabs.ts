/**
 * Small blocks. A slab is a run of pages cut into blocks of one class; what is known about its blocks lies in host
 * memory, in one word per block, where no stray write of a guest or a device reaches it:
 *
 *     in use   -1 - note, always negative: what the caller wants to know of the block, a number from 0 to 2^31 - 1
 *     free     the index of the next free block of the slab, or END
 *
 * Each class has a list of its slabs that have free blocks. A slab that was full and gets a block back goes to the
 * front: it is the fullest one, and filling the fullest first lets the emptiest run dry and go back to the page runs.
 */
import { END, NONE } from "./numbers.ts";
import { PAGE_INSIDE, PAGE_SLAB, type PageRuns } from "./page-runs.ts";
import {
  CLASS_COUNT,
  CLASS_SIZE,
  GRANULE,
  GRANULE_SHIFT,
  PAGE_SHIFT,
  SLAB_BLOCKS,
  SLAB_PAGES,
} from "./size-classes.ts";

/** 1 / block size in granules, by class: multiplying is several times faster than dividing. */
const INVERSE: Float64Array = Float64Array.from(CLASS_SIZE, (size) => GRANULE / size);

/** What `indexOf` says of an offset that is no block. */
export const NOT_A_BLOCK = -1;

export class Slabs {
  readonly #pages: PageRuns;
  /** By page: first page of the slab it belongs to. */
  readonly #slabOf: Int32Array;
  // By first page of a slab:
  readonly #classOf: Uint8Array;
  readonly #freeHead: Int32Array;
  readonly #used: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #words: (Int32Array | undefined)[];
  // By class:
  readonly #partial: Int32Array = new Int32Array(CLASS_COUNT).fill(NONE);
  /** One slab without a block in use is kept, so that a pair of allocate and free does not make and break a slab. */
  readonly #spare: Int32Array = new Int32Array(CLASS_COUNT).fill(NONE);
  readonly #wordPool: Int32Array[][] = Array.from({ length: CLASS_COUNT }, () => []);
  readonly slabCount: Int32Array = new Int32Array(CLASS_COUNT);
  readonly blocksInUse: Int32Array = new Int32Array(CLASS_COUNT);
  readonly peakBlocksInUse: Int32Array = new Int32Array(CLASS_COUNT);

  constructor(pages: PageRuns) {
    this.#pages = pages;
    this.#slabOf = new Int32Array(pages.count);
    this.#classOf = new Uint8Array(pages.count);
    this.#freeHead = new Int32Array(pages.count);
    this.#used = new Int32Array(pages.count);
    this.#next = new Int32Array(pages.count);
    this.#previous = new Int32Array(pages.count);
    this.#words = new Array<Int32Array | undefined>(pages.count).fill(undefined);
  }

  /** Takes a block of a slab that is there, with a note, and returns its offset in bytes; -1 when all are full. */
  take(classIndex: number, note: number): number {
    const slab = this.#partial[classIndex] as number;
    if (slab === NONE) return NONE;
    const words = this.#words[slab] as Int32Array;
    const block = this.#freeHead[slab] as number;
    const next = words[block] as number;
    words[block] = -1 - note;
    this.#freeHead[slab] = next;
    if (next === END) this.#unlink(slab, classIndex);
    const used = this.#used[slab] as number;
    this.#used[slab] = used + 1;
    if (used === 0) this.#spare[classIndex] = NONE;
    const inUse = (this.blocksInUse[classIndex] as number) + 1;
    this.blocksInUse[classIndex] = inUse;
    if (inUse > (this.peakBlocksInUse[classIndex] as number)) this.peakBlocksInUse[classIndex] = inUse;
    return ((slab << PAGE_SHIFT) >>> 0) + block * (CLASS_SIZE[classIndex] as number);
  }

  /** Makes a slab for a class; false when there is no run of pages for it. */
  grow(classIndex: number): boolean {
    const count = SLAB_PAGES[classIndex] as number;
    const slab = this.#pages.takeLow(count);
    if (slab === NONE) return false;
    const blocks = SLAB_BLOCKS[classIndex] as number;
    const words = this.#wordPool[classIndex]?.pop() ?? new Int32Array(blocks);
    for (let block = 0; block < blocks - 1; block++) words[block] = block + 1;
    words[blocks - 1] = END;
    this.#pages.kinds.fill(PAGE_SLAB, slab, slab + count);
    this.#slabOf.fill(slab, slab, slab + count);
    this.#classOf[slab] = classIndex;
    this.#words[slab] = words;
    this.#freeHead[slab] = 0;
    this.#used[slab] = 0;
    this.#spare[classIndex] = slab;
    this.slabCount[classIndex] = (this.slabCount[classIndex] as number) + 1;
    this.#link(slab, classIndex);
    return true;
  }

  /** First page of the slab that a page belongs to. The page is marked PAGE_SLAB. */
  slabOf(page: number): number {
    return this.#slabOf[page] as number;
  }

  classOf(slab: number): number {
    return this.#classOf[slab] as number;
  }

  /** The index in `slab` of the block that starts at `offset` (of the heap, in bytes); NOT_A_BLOCK when none does. */
  indexOf(slab: number, offset: number): number {
    const classIndex = this.#classOf[slab] as number;
    const inside = offset - ((slab << PAGE_SHIFT) >>> 0);
    // The half keeps a product that should be whole from falling just below.
    const block = (((inside >>> GRANULE_SHIFT) + 0.5) * (INVERSE[classIndex] as number)) | 0;
    if (block * (CLASS_SIZE[classIndex] as number) !== inside) return NOT_A_BLOCK;
    return block < (SLAB_BLOCKS[classIndex] as number) ? block : NOT_A_BLOCK;
  }

  /** The note of a block in use; negative when it is free. */
  note(slab: number, block: number): number {
    return -1 - ((this.#words[slab] as Int32Array)[block] as number);
  }

  setNote(slab: number, block: number, note: number): void {
    (this.#words[slab] as Int32Array)[block] = -1 - note;
  }

  /** How many blocks a slab has. */
  blocksIn(slab: number): number {
    return SLAB_BLOCKS[this.classOf(slab)] as number;
  }

  /** Takes a block back whose note says that it is in use. */
  free(slab: number, block: number): void {
    const classIndex = this.#classOf[slab] as number;
    const head = this.#freeHead[slab] as number;
    (this.#words[slab] as Int32Array)[block] = head;
    this.#freeHead[slab] = block;
    if (head === END) this.#link(slab, classIndex);
    const used = (this.#used[slab] as number) - 1;
    this.#used[slab] = used;
    this.blocksInUse[classIndex] = (this.blocksInUse[classIndex] as number) - 1;
    if (used === 0) this.#emptied(slab, classIndex);
  }

  /** Gives the spare slabs back to the page runs; returns how many. */
  trim(): number {
    let released = 0;
    for (let classIndex = 0; classIndex < CLASS_COUNT; classIndex++) {
      const slab = this.#spare[classIndex] as number;
      if (slab === NONE) continue;
      this.#spare[classIndex] = NONE;
      this.#release(slab, classIndex);
      released++;
    }
    return released;
  }

  #emptied(slab: number, classIndex: number): void {
    if (this.#spare[classIndex] === NONE) this.#spare[classIndex] = slab;
    else this.#release(slab, classIndex);
  }

  #release(slab: number, classIndex: number): void {
    this.#unlink(slab, classIndex);
    const words = this.#words[slab];
    if (words !== undefined) this.#wordPool[classIndex]?.push(words);
    this.#words[slab] = undefined;
    this.slabCount[classIndex] = (this.slabCount[classIndex] as number) - 1;
    const count = SLAB_PAGES[classIndex] as number;
    this.#pages.kinds.fill(PAGE_INSIDE, slab, slab + count);
    this.#pages.release(slab, count);
  }

  #link(slab: number, classIndex: number): void {
    const head = this.#partial[classIndex] as number;
    this.#next[slab] = head;
    this.#previous[slab] = NONE;
    if (head !== NONE) this.#previous[head] = slab;
    this.#partial[classIndex] = slab;
  }

  #unlink(slab: number, classIndex: number): void {
    const next = this.#next[slab] as number;
    const previous = this.#previous[slab] as number;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) this.#next[previous] = next;
    else this.#partial[classIndex] = next;
  }
}
