/**
 * What the allocator costs, and how much memory it wastes after a long random run.
 *
 *     pnpm --filter @toril/memory bench:allocator [operations]
 */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap, type HeapStats } from "@toril/memory/allocator";

const ROUNDS = 9;
const HEAP_BYTES = 256 << 20;

function makeHeap(guarded: "guarded" | "unguarded" = "unguarded"): Heap {
  const memory = GuestMemory.allocate({ size: HEAP_BYTES });
  return new Heap({ memory, base: guestAddress(0), size: HEAP_BYTES, guarded });
}

/** Nanoseconds per operation, the median of several rounds. */
function measure(operations: number, run: (operations: number) => void): number {
  run(operations);
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    run(operations);
    rounds.push(Number(process.hrtime.bigint() - start) / operations);
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN;
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the benchmark's heap is too small");
  return value;
}

/** One block at a time: the free list's head and the metadata stay in the cache. */
function pairs(heap: Heap, length: number): number {
  return measure(200_000, (operations) => {
    for (let i = 0; i < operations; i++) heap.free(must(heap.allocate(length)));
  });
}

/** A thousand blocks, then all back in the order they came: crosses slabs. */
function batches(heap: Heap, length: number): number {
  const batch = Math.min(1000, Math.floor(HEAP_BYTES / 2 / Math.max(length, 4096)));
  const blocks = new Float64Array(batch);
  return measure(Math.ceil(100_000 / batch) * batch, (operations) => {
    for (let i = 0; i < operations; i += batch) {
      for (let j = 0; j < batch; j++) blocks[j] = must(heap.allocate(length));
      for (let j = 0; j < batch; j++) heap.free(guestAddress(blocks[j] ?? 0));
    }
  });
}

function dmaPairs(heap: Heap, length: number): number {
  return measure(100_000, (operations) => {
    for (let i = 0; i < operations; i++) must(heap.allocateDma(length, 64)).free();
  });
}

function arenaBlocks(heap: Heap, length: number): number {
  const arena = heap.createArena({ chunkBytes: 1 << 20 });
  const result = measure(100_000, (operations) => {
    for (let i = 0; i < operations; i++) {
      must(arena.allocate(length));
      if (i % 1000 === 999) arena.reset();
    }
    arena.reset();
  });
  arena.free();
  return result;
}

/** A seeded generator, so that two runs do the same. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Sizes spread evenly over the powers of two from 16 bytes to 256 KiB, as many frees as allocations once it is full. */
function fragmentation(operations: number, live: number): void {
  const heap = makeHeap();
  const next = random(1);
  const blocks = new Float64Array(live);
  let failures = 0;
  const start = process.hrtime.bigint();
  for (let i = 0; i < operations; i++) {
    const slot = Math.floor(next() * live);
    const old = blocks[slot] ?? 0;
    if (old !== 0) heap.free(guestAddress(old));
    const address = heap.allocate(Math.floor(16 * 2 ** (next() * 14)));
    if (address === undefined) failures++;
    blocks[slot] = address ?? 0;
  }
  const perOperation = Number(process.hrtime.bigint() - start) / operations;
  const steady = heap.stats();
  console.log(
    `${operations.toExponential(0)} replacements among ${live} blocks of 16 B to 256 KiB: ${perOperation.toFixed(0)} ns each, ${failures} without room`,
  );
  console.log(`  ${describeUse(steady)}, longest free run ${mib(steady.largestFree)}`);
  const extra: number[] = [];
  for (;;) {
    const address = heap.allocate(Math.floor(16 * 2 ** (next() * 14)));
    if (address === undefined) break;
    extra.push(address);
  }
  const full = heap.stats();
  console.log(
    `  filled until the first failure: ${describeUse(full)}, ${percent(full.bytesInUse / full.capacity)} of the heap`,
  );
  for (const address of [...blocks, ...extra]) if (address !== 0) heap.free(guestAddress(address));
  heap.trim();
  const after = heap.stats();
  console.log(`  all freed: ${after.bytesHeld} bytes held, ${after.freeRuns} free run`);
}

/** The worst that can happen to slabs: a heap full of one size, of which a few blocks survive here and there. */
function survivors(length: number): void {
  const heap = makeHeap();
  const next = random(2);
  const blocks: number[] = [];
  for (let address = heap.allocate(length); address !== undefined; address = heap.allocate(length))
    blocks.push(address);
  const full = heap.stats().bytesInUse;
  for (const address of blocks) if (next() >= 0.01) heap.free(guestAddress(address));
  heap.trim();
  const { bytesInUse, bytesHeld } = heap.stats();
  console.log(
    `${String(length).padStart(10)} bytes: heap filled to ${percent(full / HEAP_BYTES)}; ` +
      `when 1 % survives (${mib(bytesInUse)}), ${mib(bytesHeld)} are held`,
  );
}

function describeUse({ bytesInUse, bytesHeld, internalFragmentation }: HeapStats): string {
  return `${mib(bytesInUse)} in use, ${mib(bytesHeld)} held (${percent(internalFragmentation)} unused)`;
}

const mib = (bytes: number): string => `${(bytes / (1 << 20)).toFixed(1)} MiB`;
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

const heap = makeHeap();
console.log("ns per allocate and free      one at a time   batches of 1000");
for (const length of [16, 64, 256, 1024, 4096, 16_384, 65_536, 1 << 20]) {
  console.log(
    `${String(length).padStart(10)} bytes ${pairs(heap, length).toFixed(1).padStart(20)} ${batches(heap, length).toFixed(1).padStart(17)}`,
  );
}
console.log(`DmaBuffer of 4096 bytes, allocate and free: ${dmaPairs(heap, 4096).toFixed(1)} ns`);
console.log(`arena, 64 bytes: ${arenaBlocks(heap, 64).toFixed(1)} ns`);
console.log(
  `guarded, 64 bytes: ${pairs(makeHeap("guarded"), 64).toFixed(1)} ns; 4096 bytes: ${pairs(makeHeap("guarded"), 4096).toFixed(1)} ns`,
);
const operations = Number(process.argv[2] ?? 1e6);
fragmentation(operations, 2000);
for (const length of [16, 64, 256, 1024, 4096, 16_384]) survivors(length);
