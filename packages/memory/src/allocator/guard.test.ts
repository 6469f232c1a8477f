import { describe, expect, it } from "vitest";
import { addressAt, type GuestAddress, guestAddress } from "../guest-address.ts";
import { GuestMemory } from "../guest-memory.ts";
import { Heap } from "./heap.ts";
import { HeapError } from "./heap-error.ts";

const SIZE = 1 << 20;

function makeHeap(sharing: "shared" | "unshared" = "unshared"): Heap {
  const memory = GuestMemory.allocate({ size: SIZE, sharing });
  return new Heap({ memory, base: guestAddress(0), size: SIZE, guarded: "guarded", core: 1 });
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the heap has no room");
  return value;
}

function errorOf(action: () => unknown): HeapError {
  try {
    action();
  } catch (error) {
    if (error instanceof HeapError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

function poke(heap: Heap, address: GuestAddress, bytes: number): void {
  heap.memory.fill(addressAt(address, bytes), 1, 1);
}

describe.each([0, 1, 16, 100, 4096, 16_384, 50_000])("guarded, a block of %s bytes", (length) => {
  it("may be written to its last byte", () => {
    const heap = makeHeap("shared");
    const block = must(heap.allocate(length));
    heap.memory.fill(block, length, 0);
    heap.check();
    heap.free(block);
    heap.check();
  });

  it.each([0, 15])("overrun by a byte %s behind its end is found by check and by free, which frees it", (behind) => {
    const heap = makeHeap();
    const block = must(heap.allocate(length));
    poke(heap, block, length + behind);
    const error = errorOf(() => heap.check());
    expect(error.code).toBe("ERR_HEAP_OVERRUN");
    expect(error.address).toBe(block + length + behind);
    expect(error.message).toContain(
      `in the heap of core 1 a byte was written at guest address ${block + length + behind}`,
    );
    expect(error.message).toContain(`behind the block that ends at ${block + length}`);
    expect(errorOf(() => heap.reallocate(block, 1)).code).toBe("ERR_HEAP_OVERRUN");
    expect(errorOf(() => heap.free(block)).code).toBe("ERR_HEAP_OVERRUN");
    expect(heap.stats().blocksInUse).toBe(0);
    heap.check();
  });

  it("written to after it was freed is found by check and by the next that gets it", () => {
    const heap = makeHeap();
    const block = must(heap.allocate(length));
    heap.free(block);
    poke(heap, block, 5);
    const error = errorOf(() => heap.check());
    expect(error.code).toBe("ERR_HEAP_USE_AFTER_FREE");
    expect(error.address).toBe(block + 5);
    expect(errorOf(() => heap.allocate(length)).code).toBe("ERR_HEAP_USE_AFTER_FREE");
    // Found once: the block is clean again, and free.
    expect(heap.stats().blocksInUse).toBe(0);
    expect(heap.allocate(length)).toBe(block);
  });
});

describe("guarded", () => {
  it("a write before a block's start is found as damage to its neighbour", () => {
    const heap = makeHeap();
    const first = must(heap.allocate(100));
    const second = must(heap.allocate(100));
    expect(second).toBeGreaterThan(first);
    poke(heap, second, -1);
    const error = errorOf(() => heap.free(first));
    expect(error.code).toBe("ERR_HEAP_OVERRUN");
    expect(error.remedy).toContain("before the start of the next one");
  });

  it("a device that writes beyond a DMA buffer is found when the buffer is freed", () => {
    const heap = makeHeap();
    const buffer = must(heap.allocateDma(1500));
    buffer.lendToWrite();
    poke(heap, buffer.address, 1500);
    buffer.giveBack();
    expect(errorOf(() => buffer.free()).code).toBe("ERR_HEAP_OVERRUN");
    expect(buffer.state).toBe("freed");
    expect(heap.stats().blocksInUse).toBe(0);
  });

  it("reallocate always moves, so that the old address is found out", () => {
    const heap = makeHeap();
    const block = must(heap.allocate(65));
    const moved = must(heap.reallocate(block, 66));
    expect(moved).not.toBe(block);
    poke(heap, block, 0);
    expect(errorOf(() => heap.check()).code).toBe("ERR_HEAP_USE_AFTER_FREE");
  });

  it("zeroed memory is zero, and guarded", () => {
    const heap = makeHeap();
    const block = must(heap.allocateZeroed(100));
    expect(heap.memory.bytes(block, 100).every((byte) => byte === 0)).toBe(true);
    heap.check();
  });
});
