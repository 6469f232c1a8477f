/**
 * One core's allocator. Reading order: size-classes.ts, page-runs.ts, slabs.ts, heap.ts.
 */
export { Heap, type HeapOptions } from "./heap.ts";
export { HeapError, type HeapErrorCode } from "./heap-error.ts";
