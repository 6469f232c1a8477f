/**
 * Which pages of a heap are free. Free pages are kept as runs, as long as they can be: a run that comes back joins its
 * free neighbours at once. Runs are filed by length in bins (exact up to 31 pages, then 16 bins to a doubling) with
 * a bitmap of the bins that are not empty, so that taking and returning a run is O(1). This is the scheme of TLSF
 * (Masmano et al., "TLSF: a New Dynamic Memory Allocator for Real-Time Systems", 2004), kept out of band.
 */

/** What `kinds` says of a page. Only the first and the last page of a free run are marked. */
export const PAGE_INSIDE = 0;
export const PAGE_FREE_FIRST = 1;
export const PAGE_FREE_LAST = 2;
/** A page of a slab; all its pages are marked. */
export const PAGE_SLAB = 3;
/** The first page of a large block. */
export const PAGE_LARGE = 4;

const EXACT_BINS = 32;
const EXACT_SHIFT = 5;
const BINS_PER_DOUBLING = 16;
const SUBDIVISION_SHIFT = 4;
/** 2^20 pages of 4 KiB are 4 GiB. */
const BIN_COUNT = EXACT_BINS + (21 - EXACT_SHIFT) * BINS_PER_DOUBLING;
const NONE = -1;

function binOf(pages: number): number {
  if (pages < EXACT_BINS) return pages;
  const power = 31 - Math.clz32(pages);
  const part = (pages >>> (power - SUBDIVISION_SHIFT)) - BINS_PER_DOUBLING;
  return EXACT_BINS + (power - EXACT_SHIFT) * BINS_PER_DOUBLING + part;
}

/** The first bin all of whose runs have `pages` or more. */
function fittingBin(pages: number): number {
  if (pages < EXACT_BINS) return pages;
  const power = 31 - Math.clz32(pages);
  return binOf(pages + (1 << (power - SUBDIVISION_SHIFT)) - 1);
}

export class PageRuns {
  readonly count: number;
  readonly kinds: Uint8Array;
  /** Length in pages of the run that starts (free: or ends) at a page. */
  readonly lengths: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #bins: Int32Array = new Int32Array(BIN_COUNT).fill(NONE);
  readonly #filled: Int32Array = new Int32Array(Math.ceil(BIN_COUNT / 32));
  #free = 0;
  #runs = 0;

  constructor(count: number) {
    this.count = count;
    this.kinds = new Uint8Array(count);
    this.lengths = new Int32Array(count);
    this.#next = new Int32Array(count);
    this.#previous = new Int32Array(count);
    this.#insert(0, count);
    this.#free = count;
  }

  get freePages(): number {
    return this.#free;
  }

  get freeRuns(): number {
    return this.#runs;
  }

  /** Length in pages of the longest free run; walks one bin. */
  longest(): number {
    for (let bin = BIN_COUNT - 1; bin >= 0; bin--) {
      let longest = 0;
      for (let run = this.#bins[bin] as number; run !== NONE; run = this.#next[run] as number) {
        longest = Math.max(longest, this.lengths[run] as number);
      }
      if (longest > 0) return longest;
    }
    return 0;
  }

  /** Takes the first `pages` pages of a free run; -1 when no run is that long. */
  takeLow(pages: number): number {
    const run = this.#find(pages);
    if (run === NONE) return NONE;
    return this.#cut(run, 0, pages);
  }

  /** The same from the end of a run: large blocks and slabs then grow towards each other and mix less. */
  takeHigh(pages: number): number {
    const run = this.#find(pages);
    if (run === NONE) return NONE;
    return this.#cut(run, (this.lengths[run] as number) - pages, pages);
  }

  /** Takes a run whose first page is `remainder` modulo `alignment` (in pages, a power of two). */
  takeAligned(pages: number, alignment: number, remainder: number): number {
    const certain = this.#find(pages + alignment - 1);
    if (certain !== NONE) return this.#cut(certain, skip(certain, alignment, remainder), pages);
    // No run is long enough for any start; one of the shorter ones may start just right.
    for (let bin = binOf(pages); bin < BIN_COUNT; bin++) {
      for (let run = this.#bins[bin] as number; run !== NONE; run = this.#next[run] as number) {
        const skipped = skip(run, alignment, remainder);
        if (skipped + pages <= (this.lengths[run] as number)) return this.#cut(run, skipped, pages);
      }
    }
    return NONE;
  }

  /** Takes exactly the pages from `first` on, when a free run starts there and is long enough. */
  takeAt(first: number, pages: number): "taken" | "unavailable" {
    if (first >= this.count || this.kinds[first] !== PAGE_FREE_FIRST) return "unavailable";
    if ((this.lengths[first] as number) < pages) return "unavailable";
    this.#cut(first, 0, pages);
    return "taken";
  }

  /** Takes a run back. The caller has unmarked its pages. */
  release(first: number, pages: number): void {
    this.#free += pages;
    let start = first;
    let length = pages;
    const before = first - 1;
    if (before >= 0) {
      const kind = this.kinds[before];
      // A free run of one page is its own last page, and marked as its first.
      if (kind === PAGE_FREE_LAST || kind === PAGE_FREE_FIRST) {
        const joined = this.lengths[before] as number;
        start -= joined;
        length += joined;
        this.#remove(start);
      }
    }
    const after = first + pages;
    if (after < this.count && this.kinds[after] === PAGE_FREE_FIRST) {
      length += this.lengths[after] as number;
      this.#remove(after);
    }
    this.#insert(start, length);
  }

  #find(pages: number): number {
    if (pages > this.#free) return NONE;
    const bin = this.#filledFrom(fittingBin(pages));
    if (bin !== NONE) return this.#bins[bin] as number;
    if (pages < EXACT_BINS) return NONE;
    // The bin that `pages` itself belongs to also has shorter runs. Only a heap that is nearly full comes here.
    for (let run = this.#bins[binOf(pages)] as number; run !== NONE; run = this.#next[run] as number) {
      if ((this.lengths[run] as number) >= pages) return run;
    }
    return NONE;
  }

  /** The first bin from `bin` on that is not empty. */
  #filledFrom(bin: number): number {
    let word = bin >>> 5;
    let bits = (this.#filled[word] as number) & (-1 << (bin & 31));
    while (bits === 0) {
      word++;
      if (word >= this.#filled.length) return NONE;
      bits = this.#filled[word] as number;
    }
    return word * 32 + (31 - Math.clz32(bits & -bits));
  }

  /** Takes `pages` pages out of a free run, `skipped` pages behind its start. */
  #cut(run: number, skipped: number, pages: number): number {
    const length = this.lengths[run] as number;
    this.#remove(run);
    if (skipped > 0) this.#insert(run, skipped);
    const rest = length - skipped - pages;
    if (rest > 0) this.#insert(run + skipped + pages, rest);
    this.#free -= pages;
    const first = run + skipped;
    this.lengths[first] = pages;
    return first;
  }

  #insert(first: number, length: number): void {
    const last = first + length - 1;
    this.kinds[last] = PAGE_FREE_LAST;
    this.kinds[first] = PAGE_FREE_FIRST;
    this.lengths[last] = length;
    this.lengths[first] = length;
    const bin = binOf(length);
    const head = this.#bins[bin] as number;
    this.#next[first] = head;
    this.#previous[first] = NONE;
    if (head !== NONE) this.#previous[head] = first;
    this.#bins[bin] = first;
    this.#filled[bin >>> 5] = (this.#filled[bin >>> 5] as number) | (1 << (bin & 31));
    this.#runs++;
  }

  #remove(first: number): void {
    const length = this.lengths[first] as number;
    this.kinds[first] = PAGE_INSIDE;
    this.kinds[first + length - 1] = PAGE_INSIDE;
    const next = this.#next[first] as number;
    const previous = this.#previous[first] as number;
    if (next !== NONE) this.#previous[next] = previous;
    if (previous !== NONE) {
      this.#next[previous] = next;
    } else {
      const bin = binOf(length);
      this.#bins[bin] = next;
      if (next === NONE) this.#filled[bin >>> 5] = (this.#filled[bin >>> 5] as number) & ~(1 << (bin & 31));
    }
    this.#runs--;
  }
}

/** How many pages behind `run` the first page lies that is `remainder` modulo `alignment`. */
function skip(run: number, alignment: number, remainder: number): number {
  return (remainder - run) & (alignment - 1);
}
