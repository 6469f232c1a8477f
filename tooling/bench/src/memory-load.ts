/** What `pnpm bench:memory` makes a Heap do; peers/memory.c does the same to malloc. */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";

const HEAP_BYTES = 256 << 20;
const BATCH = 1000;
const LIVE = 2000;
const PLANS = 1 << 16;

export function createHeap(): Heap {
  const memory = GuestMemory.allocate({ size: HEAP_BYTES });
  return new Heap({ memory, base: guestAddress(0), size: HEAP_BYTES });
}

/** Nanoseconds per allocate and free, one block at a time: the free list's head stays in the cache. */
export function pairs(heap: Heap, length: number, operations: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < operations; i++) heap.free(must(heap.allocate(length)));
  return Number(process.hrtime.bigint() - start) / operations;
}

/** The same, 1000 blocks, then all back in the order they came: crosses slabs. */
export function batches(heap: Heap, length: number, operations: number): number {
  const blocks = Array.from({ length: BATCH }, () => guestAddress(0));
  const start = process.hrtime.bigint();
  for (let i = 0; i < operations; i += BATCH) {
    for (let j = 0; j < BATCH; j++) blocks[j] = must(heap.allocate(length));
    for (const block of blocks) heap.free(block);
  }
  return Number(process.hrtime.bigint() - start) / operations;
}

export function dmaPairs(heap: Heap, length: number, operations: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < operations; i++) must(heap.allocateDma(length)).free();
  return Number(process.hrtime.bigint() - start) / operations;
}

export interface MixedRun {
  readonly nanoseconds: number;
  /** Bytes held per byte in use at the end. */
  readonly held: number;
}

/** Replaces 2000 blocks at random; lengths spread evenly over the powers of two from 16 bytes to 256 KiB. */
export function mixed(heap: Heap, operations: number): MixedRun {
  const blocks = Array.from({ length: LIVE }, () => -1);
  const start = process.hrtime.bigint();
  for (let i = 0; i < operations; i++) {
    const slot = plan.slots[i & (PLANS - 1)] ?? 0;
    const length = plan.lengths[(i + (i >> 16)) & (PLANS - 1)] ?? 0;
    const old = blocks[slot] ?? -1;
    if (old >= 0) heap.free(guestAddress(old));
    blocks[slot] = must(heap.allocate(length));
  }
  const elapsed = Number(process.hrtime.bigint() - start);
  const { bytesHeld, bytesInUse } = heap.stats();
  for (const block of blocks) if (block >= 0) heap.free(guestAddress(block));
  return { nanoseconds: elapsed / operations, held: bytesHeld / bytesInUse };
}

/** The peer makes the same plan from the same seed. */
const plan = makePlan();

function makePlan(): { readonly slots: Int32Array; readonly lengths: Int32Array } {
  let state = 1;
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const slots = new Int32Array(PLANS);
  const lengths = new Int32Array(PLANS);
  for (let i = 0; i < PLANS; i++) {
    slots[i] = random() % LIVE;
    const power = 4 + (random() % 14);
    lengths[i] = (1 << power) + (random() & ((1 << power) - 1));
  }
  return { slots, lengths };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the benchmark's heap is too small");
  return value;
}
