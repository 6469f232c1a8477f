/**
 * One core's allocator. Reading order: size-classes.ts, page-runs.ts, slabs.ts, blocks.ts (what is where, all of it out
 * of guest memory); heap.ts; then guard.ts, arena.ts, and for frees from other cores control-block.ts, remote-heap.ts,
 * incoming-frees.ts.
 */
export { Heap } from "./heap.ts";
export type { HeapOptions } from "./heap-options.ts";
export { RemoteHeap, type RemoteHeapOptions } from "./remote-heap.ts";
export { Arena, type ArenaOptions } from "./arena.ts";
export { HeapError, type HeapErrorCode } from "./heap-error.ts";
export type { ClassStats, HeapCounters, HeapStats } from "./heap-stats.ts";
