/** The heap against a model that remembers every block and what was written to it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GuestAddress, guestAddress } from "../guest-address.ts";
import { GuestMemory } from "../guest-memory.ts";
import { Heap } from "./heap.ts";
import { RemoteHeap } from "./remote-heap.ts";

const SIZE = 1 << 18;
/** Odd on purpose: a heap's range need not start or end on a page. */
const BASE = 4096 + 4064;

/** A machine with two busy cores takes its time. */
const TIMEOUT_MS = 60_000;

interface Block {
  address: GuestAddress;
  length: number;
  readonly stamp: number;
}

const length = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 8000 }),
  fc.integer({ min: 0, max: 50_000 }),
);
const alignment = fc.oneof(
  fc.constant(16),
  fc.integer({ min: 0, max: 16 }).map((bits) => 2 ** bits),
);
const pick = fc.nat();
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("allocate" as const), length, alignment }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("free" as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("free remotely" as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reallocate" as const), pick, length, alignment }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("collect" as const, "trim" as const, "check" as const) }) },
);

/** A free run of so many bytes is enough for a block of this length. */
function enoughFor(bytes: number, align: number): number {
  return Math.ceil((bytes + 16) / 4096) * 4096 + (align > 4096 ? align : 0);
}

describe.each([
  ["unguarded", "unshared"],
  ["guarded", "unshared"],
  ["guarded", "shared"],
] as const)("a heap, %s, in %s memory", (guarded, sharing) => {
  it("gives out aligned blocks that do not overlap, accounts for every byte, and gets everything back", {
    timeout: TIMEOUT_MS,
  }, () => {
    const run = fc.array(command, { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(run, (commands) => {
        const memory = GuestMemory.allocate({ size: 2 * SIZE, sharing });
        const heap = new Heap({ memory, base: guestAddress(BASE), size: SIZE, guarded });
        const remote = new RemoteHeap({ memory, base: guestAddress(BASE) });
        const whole = heap.stats();
        const blocks: Block[] = [];
        let remoteFrees = 0;
        let peak = 0;
        // Freed by another core, and still in use as far as the owner knows.
        let awaitedBytes = 0;
        let awaitedBlocks = 0;
        let stamp = 0;

        const write = (block: Block): void => memory.fill(block.address, block.length, block.stamp);
        const unchanged = (block: Block): boolean =>
          Buffer.alloc(block.length, block.stamp).equals(memory.bytes(block.address, block.length));
        const take = (): Block | undefined => blocks.splice(next % (blocks.length || 1), 1)[0];
        let next = 0;

        for (const step of commands) {
          next = "pick" in step ? step.pick : 0;
          if (step.do === "allocate") {
            const address = heap.allocate(step.length, step.alignment);
            if (address === undefined) {
              expect(heap.stats().largestFree).toBeLessThan(enoughFor(step.length, step.alignment));
            } else {
              expect(address % Math.max(16, step.alignment)).toBe(0);
              expect(heap.lengthOf(address)).toBe(step.length);
              stamp = (stamp % 250) + 1;
              const block = { address, length: step.length, stamp };
              write(block);
              blocks.push(block);
            }
          } else if (step.do === "free") {
            const block = take();
            if (block === undefined) continue;
            expect(unchanged(block)).toBe(true);
            heap.free(block.address);
          } else if (step.do === "free remotely") {
            const block = take();
            if (block === undefined) continue;
            expect(unchanged(block)).toBe(true);
            remote.free(block.address);
            remoteFrees++;
            awaitedBlocks++;
            awaitedBytes += block.length;
          } else if (step.do === "reallocate") {
            const block = blocks[next % (blocks.length || 1)];
            if (block === undefined) continue;
            const address = heap.reallocate(block.address, step.length, step.alignment);
            if (address === undefined) {
              expect(unchanged(block)).toBe(true);
              continue;
            }
            expect(address % step.alignment).toBe(0);
            const kept = Math.min(block.length, step.length);
            expect(unchanged({ ...block, address, length: kept })).toBe(true);
            block.address = address;
            block.length = step.length;
            write(block);
          } else if (step.do === "collect") {
            heap.collectRemoteFrees();
          } else if (step.do === "trim") {
            heap.trim();
          } else {
            heap.check();
          }
          const stats = heap.stats();
          if (stats.remoteFrees === remoteFrees) {
            awaitedBlocks = 0;
            awaitedBytes = 0;
          }
          const bytes = blocks.reduce((sum, block) => sum + block.length, 0);
          expect(stats.blocksInUse).toBe(blocks.length + awaitedBlocks);
          expect(stats.bytesInUse).toBe(bytes + awaitedBytes);
          peak = Math.max(peak, stats.bytesInUse);
          expect(stats.peakBytesInUse).toBeGreaterThanOrEqual(peak);
          // A slab is made only when all others of its class are full: the bound on fragmentation.
          for (const { slabs, peakBlocksInUse, blocksPerSlab } of stats.classes) {
            expect(slabs).toBeLessThanOrEqual(Math.max(1, Math.ceil(peakBlocksInUse / blocksPerSlab)));
          }
        }

        const sorted = blocks.toSorted((a, b) => a.address - b.address);
        for (const [index, block] of sorted.entries()) {
          const before = sorted[index - 1];
          if (before !== undefined) expect(before.address + before.length).toBeLessThanOrEqual(block.address);
          if (before !== undefined) expect(before.address).toBeLessThan(block.address);
          expect(unchanged(block)).toBe(true);
          heap.free(block.address);
        }
        heap.check();
        heap.trim();
        const { bytesInUse, blocksInUse, bytesHeld, freeRuns, slabs, largeBlocks, ...after } = heap.stats();
        expect({ bytesInUse, blocksInUse, bytesHeld, slabs, largeBlocks }).toEqual({
          bytesInUse: 0,
          blocksInUse: 0,
          bytesHeld: 0,
          slabs: 0,
          largeBlocks: 0,
        });
        expect(freeRuns).toBe(1);
        expect(after.largestFree).toBe(whole.capacity);
        expect(after.remoteFrees).toBe(remoteFrees);
        expect(after.remoteFaults).toBe(0);
        const everything = guarded === "guarded" ? whole.capacity - 16 : whole.capacity;
        expect(heap.allocate(everything)).toBeDefined();
        expect(heap.allocate(0)).toBeUndefined();
        // Nothing was written outside the heap's range.
        expect(memory.bytes(guestAddress(0), BASE).every((byte) => byte === 0)).toBe(true);
        const end = BASE + SIZE;
        expect(memory.bytes(guestAddress(end), 2 * SIZE - end).every((byte) => byte === 0)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});
