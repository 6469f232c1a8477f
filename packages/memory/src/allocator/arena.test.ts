import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { guestAddress } from "../guest-address.ts";
import { GuestMemory } from "../guest-memory.ts";
import type { Arena } from "./arena.ts";
import { Heap } from "./heap.ts";

const SIZE = 1 << 20;

function makeHeap(guarded: "guarded" | "unguarded" = "unguarded"): Heap {
  return new Heap({ memory: GuestMemory.allocate({ size: SIZE }), base: guestAddress(0), size: SIZE, guarded });
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the heap has no room");
  return value;
}

describe.each(["guarded", "unguarded"] as const)("an arena, %s", (guarded) => {
  it("gives out aligned blocks that do not overlap, and all go at once", () => {
    const request = fc.record({
      length: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 40_000 })),
      alignment: fc.oneof(
        fc.constant(16),
        fc.integer({ min: 0, max: 14 }).map((bits) => 2 ** bits),
      ),
    });
    const rounds = fc.array(fc.array(request, { maxLength: 40 }), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(rounds, fc.integer({ min: 0, max: 70_000 }), (requests, chunkBytes) => {
        const heap = makeHeap(guarded);
        const arena = heap.createArena({ chunkBytes });
        for (const round of requests) {
          const blocks: { address: number; length: number }[] = [];
          for (const { length, alignment } of round) {
            const address = arena.allocate(length, alignment);
            if (address === undefined) continue;
            expect(address % alignment).toBe(0);
            heap.memory.fill(address, length, 1);
            blocks.push({ address, length });
          }
          blocks.sort((a, b) => a.address - b.address);
          for (const [index, { address }] of blocks.entries()) {
            const before = blocks[index - 1];
            if (before === undefined) continue;
            expect(before.address).toBeLessThan(address);
            expect(before.address + before.length).toBeLessThanOrEqual(address);
          }
          expect(arena.bytesInUse).toBe(blocks.reduce((sum, { length }) => sum + length, 0));
          expect(arena.bytesHeld).toBe(heap.stats().bytesInUse);
          arena.reset();
          expect(arena.bytesInUse).toBe(0);
          expect(heap.stats().blocksInUse).toBeLessThanOrEqual(1);
        }
        arena.free();
        expect(heap.stats()).toMatchObject({ blocksInUse: 0, bytesInUse: 0 });
        heap.check();
      }),
      { numRuns: 50 },
    );
  });

  it("cannot go while a device has one of its buffers, and ends the others with itself", () => {
    const heap = makeHeap(guarded);
    const arena = heap.createArena();
    const lent = must(arena.allocateDma(100));
    const idle = must(arena.allocateDma(100));
    const early = must(arena.allocateDma(100));
    early.free();
    lent.lendToRead();
    for (const end of [() => arena.free(), () => arena.reset()]) {
      expect(end).toThrow(expect.objectContaining({ code: "ERR_HEAP_LENT", address: lent.address }));
    }
    expect(idle.state).toBe("owned");
    lent.giveBack();
    arena.free();
    expect([lent.state, idle.state, early.state]).toEqual(["freed", "freed", "freed"]);
  });

  it("that is freed gives nothing more", () => {
    const arena = makeHeap(guarded).createArena();
    arena.allocate(10);
    arena.free();
    for (const use of [() => arena.allocate(1), () => arena.allocateDma(1), () => arena.reset(), () => arena.free()]) {
      expect(use).toThrow(expect.objectContaining({ code: "ERR_HEAP_ARENA_FREED" }));
    }
  });

  it("gives no two blocks one address, not even empty ones", () => {
    const arena = makeHeap(guarded).createArena();
    expect(arena.allocate(0, 1)).not.toBe(arena.allocate(0, 1));
  });

  it("keeps its first chunk over a reset", () => {
    const heap = makeHeap(guarded);
    const arena = heap.createArena({ chunkBytes: 1000 });
    const first = arena.allocate(500);
    arena.allocate(5000);
    arena.reset();
    expect(arena.allocate(500)).toBe(first);
    const { allocations } = heap.stats();
    for (let i = 0; i < 100; i++) {
      arena.reset();
      arena.allocate(900);
    }
    expect(heap.stats().allocations).toBe(allocations);
  });
});

describe("an arena", () => {
  it("asks for just what it needs when the heap has no room for a whole chunk", () => {
    const heap = makeHeap();
    const arena = heap.createArena({ chunkBytes: 4 * SIZE });
    expect(arena.allocate(100)).toBeDefined();
    expect(arena.bytesHeld).toBe(100);
  });

  it("takes chunks twice as long each time, so that many blocks are few chunks", () => {
    const heap = makeHeap();
    const arena: Arena = heap.createArena({ chunkBytes: 1024 });
    for (let i = 0; i < 4000; i++) must(arena.allocate(64));
    expect(heap.stats().blocksInUse).toBeLessThan(12);
  });

  it("guarded, finds what was written beyond a block when it is cleared, and is cleared all the same", () => {
    const heap = makeHeap("guarded");
    const arena = heap.createArena();
    const block = must(arena.allocate(10));
    must(arena.allocate(10));
    heap.memory.fill(guestAddress(block + 10), 1, 1);
    const damage = expect.objectContaining({ code: "ERR_HEAP_OVERRUN", address: block + 10 });
    expect(() => arena.reset()).toThrow(damage);
    heap.memory.fill(guestAddress(must(arena.allocate(10)) + 10), 1, 1);
    expect(() => arena.free()).toThrow(damage);
    expect(heap.stats().blocksInUse).toBe(0);
  });
});
