/** What a heap can say of itself. All figures are exact at the time of the call. */
import type { Blocks } from "./blocks.ts";
import { CLASS_COUNT, CLASS_SIZE, PAGE_SIZE, SLAB_BLOCKS, SLAB_PAGES } from "./size-classes.ts";

/** One size class. Classes that never had a block are left out. */
export interface ClassStats {
  /** Size of a block in bytes. */
  readonly blockSize: number;
  readonly blocksPerSlab: number;
  readonly slabs: number;
  readonly blocksInUse: number;
  readonly peakBlocksInUse: number;
}

/** What the heap counts while it works. */
export interface HeapCounters {
  /** Sum of the lengths that were asked for. */
  readonly bytesInUse: number;
  readonly peakBytesInUse: number;
  readonly blocksInUse: number;
  /** Allocations since the heap was made; those that failed are not among them. */
  readonly allocations: number;
  /** Requests that found no room. */
  readonly failures: number;
  /** Blocks that other cores freed and this one collected. */
  readonly remoteFrees: number;
  /** Entries in the list of remote frees that were no block in use: another core freed twice, or something wrote over the list. */
  readonly remoteFaults: number;
}

export interface HeapStats extends HeapCounters {
  /** Bytes that the heap can give out: its pages. */
  readonly capacity: number;
  /** Bytes of pages that are not free: slabs and large blocks. */
  readonly bytesHeld: number;
  /** The longest run of free pages in bytes: the largest block that fits. */
  readonly largestFree: number;
  readonly freeRuns: number;
  readonly slabs: number;
  readonly largeBlocks: number;
  /** Share of `bytesHeld` that no caller uses, 0 to 1: rounding up, and free blocks in slabs. */
  readonly internalFragmentation: number;
  /** Share of the free pages that are not in the longest run, 0 to 1. */
  readonly externalFragmentation: number;
  readonly classes: readonly ClassStats[];
}

export function heapStats(blocks: Blocks, counters: HeapCounters): HeapStats {
  const { pages, slabs } = blocks;
  const classes: ClassStats[] = [];
  let slabCount = 0;
  let slabPages = 0;
  for (let index = 0; index < CLASS_COUNT; index++) {
    const peakBlocksInUse = slabs.peakBlocksInUse[index] as number;
    if (peakBlocksInUse === 0) continue;
    const count = slabs.slabCount[index] as number;
    slabCount += count;
    slabPages += count * (SLAB_PAGES[index] as number);
    classes.push({
      blockSize: CLASS_SIZE[index] as number,
      blocksPerSlab: SLAB_BLOCKS[index] as number,
      slabs: count,
      blocksInUse: slabs.blocksInUse[index] as number,
      peakBlocksInUse,
    });
  }
  const bytesHeld = (slabPages + blocks.largePages) * PAGE_SIZE;
  const longest = pages.longest();
  return {
    ...counters,
    capacity: blocks.bytes,
    bytesHeld,
    largestFree: longest * PAGE_SIZE,
    freeRuns: pages.freeRuns,
    slabs: slabCount,
    largeBlocks: blocks.largeBlocks,
    internalFragmentation: bytesHeld === 0 ? 0 : 1 - counters.bytesInUse / bytesHeld,
    externalFragmentation: pages.freePages === 0 ? 0 : 1 - longest / pages.freePages,
    classes,
  };
}
