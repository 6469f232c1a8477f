import { describe, expect, it } from "vitest";
import { guestAddress } from "../guest-address.ts";
import { GuestMemory } from "../guest-memory.ts";
import { Heap } from "./heap.ts";

function makeHeap(size = 1 << 20): Heap {
  return new Heap({ memory: GuestMemory.allocate({ size }), base: guestAddress(0), size });
}

describe("a heap", () => {
  it("gives aligned blocks, takes them back, and says when it is full", () => {
    const heap = makeHeap();
    const a = heap.allocate(100) ?? expect.unreachable();
    const b = heap.allocate(100_000, 65_536) ?? expect.unreachable();
    expect(a % 16).toBe(0);
    expect(b % 65_536).toBe(0);
    expect(heap.allocate(1 << 20)).toBeUndefined();
    heap.free(a);
    heap.free(b);
    expect(() => heap.free(a)).toThrow(/in use/);
    expect(() => heap.free(b)).toThrow(/in use/);
  });

  it("makes DMA buffers that free themselves", () => {
    const heap = makeHeap();
    const buffer = heap.allocateDma(4096, 4096) ?? expect.unreachable();
    expect(buffer.address % 4096).toBe(0);
    expect(() => heap.free(buffer.address)).toThrow(/DmaBuffer/);
    buffer.free();
    expect(heap.allocateDma(4096, 4096)?.address).toBe(buffer.address);
  });
});
