/**
 * The sizes of small blocks. Up to 64 bytes they grow by 16, above that four to a doubling (64, 80, 96, 112, 128,
 * 160, 192, …), so that a block is never more than a quarter larger than what was asked of it (rounded up to 16).
 *
 * Blocks of one class are cut from slabs: short runs of pages that hold one class only. A slab has at least
 * MIN_BLOCKS blocks, and loses at most an eighth of its bytes behind the last block.
 */

/** Size of a page in bytes: what slabs and large blocks are made of. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
/** Every block is a multiple of this many bytes and aligned to it: what a virtqueue's descriptor table needs. */
export const GRANULE = 16;
export const GRANULE_SHIFT = 4;
/** The largest small block in bytes. From here on, rounding up to whole pages loses no more than a class would. */
export const MAX_SMALL = 16_384;

/** Few, so that a class with one live block holds little memory; enough, so that slabs are not made all the time. */
const MIN_BLOCKS = 4;
const MAX_TAIL_SHARE = 1 / 8;

function sizes(): number[] {
  const result: number[] = [];
  for (let size = GRANULE; size <= 64; size += GRANULE) result.push(size);
  for (let power = 64; power < MAX_SMALL; power *= 2) {
    for (let quarter = 5; quarter <= 8; quarter++) result.push((power / 4) * quarter);
  }
  return result;
}

function pagesOfSlab(size: number): number {
  for (let pages = 1; ; pages++) {
    const blocks = Math.floor((pages * PAGE_SIZE) / size);
    const tail = pages * PAGE_SIZE - blocks * size;
    if (blocks >= MIN_BLOCKS && tail <= pages * PAGE_SIZE * MAX_TAIL_SHARE) return pages;
  }
}

/** Block size in bytes, by class. */
export const CLASS_SIZE: Int32Array = Int32Array.from(sizes());
export const CLASS_COUNT: number = CLASS_SIZE.length;
/** Pages in one slab, by class. */
export const SLAB_PAGES: Int32Array = CLASS_SIZE.map(pagesOfSlab);
/** Blocks in one slab, by class. */
export const SLAB_BLOCKS: Int32Array = CLASS_SIZE.map((size, index) =>
  Math.floor(((SLAB_PAGES[index] as number) * PAGE_SIZE) / size),
);
/** The smallest class that holds a number of granules. */
const CLASS_OF_GRANULES: Uint8Array = Uint8Array.from({ length: MAX_SMALL / GRANULE + 1 }, (_, granules) =>
  CLASS_SIZE.findIndex((size) => size >= granules * GRANULE),
);

/**
 * The smallest class whose blocks hold `length` bytes at a multiple of `alignment`. A slab starts on a page, so its
 * blocks are aligned to any power of two up to a page that divides their size.
 * @param length at most MAX_SMALL. @param alignment a power of two, at most PAGE_SIZE.
 */
export function classFor(length: number, alignment: number): number {
  let index = CLASS_OF_GRANULES[(length + GRANULE - 1) >>> GRANULE_SHIFT] as number;
  // Ends at MAX_SMALL at the latest: all these alignments divide it.
  while (((CLASS_SIZE[index] as number) & (alignment - 1)) !== 0) index++;
  return index;
}
