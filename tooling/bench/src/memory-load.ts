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

export function arenaBlocks(heap: Heap, length: number, operations: number): number {
  const arena = heap.createArena({ chunkBytes: 1 << 20 });
  const start = process.hrtime.bigint();
  for (let i = 0; i < operations; i++) {
    must(arena.allocate(length));
    if (i % BATCH === BATCH - 1) arena.reset();
  }
  const elapsed = Number(process.hrtime.bigint() - start);
  arena.free();
  return elapsed / operations;
}

/** Bytes held per byte in use when 1 in 100 of 32 MiB of blocks is not freed: the worst that can happen to slabs. */
export function survivors(length: number): number {
  const heap = createHeap();
  const random = generator();
  const blocks = Array.from({ length: Math.floor((32 << 20) / length) }, () => must(heap.allocate(length)));
  for (const block of blocks) if (random() % 100 !== 0) heap.free(block);
  heap.trim();
  const { bytesHeld, bytesInUse } = heap.stats();
  return bytesHeld / bytesInUse;
}

export type Transfer = "write" | "read" | "copy" | "fill";

/** Nanoseconds per transfer of `bytes`, over shared memory; `skew`: how many bytes its two sides are misaligned. */
export function transfer(memory: GuestMemory, kind: Transfer, bytes: number, skew: number, operations: number): number {
  const host = new Uint8Array(bytes);
  const address = guestAddress(4096 + skew);
  const other = guestAddress(1 << 21);
  const start = process.hrtime.bigint();
  if (kind === "write") for (let i = 0; i < operations; i++) memory.write(address, host);
  else if (kind === "read") for (let i = 0; i < operations; i++) memory.read(address, host);
  else if (kind === "copy") for (let i = 0; i < operations; i++) memory.copy(other, address, bytes);
  else for (let i = 0; i < operations; i++) memory.fill(address, bytes, i & 0xff);
  return Number(process.hrtime.bigint() - start) / operations;
}

export function createSharedMemory(): GuestMemory {
  return GuestMemory.allocate({ size: 4 << 20, sharing: "shared" });
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

/** xorshift32. */
function generator(): () => number {
  let state = 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function makePlan(): { readonly slots: Int32Array; readonly lengths: Int32Array } {
  const random = generator();
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
