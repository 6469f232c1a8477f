import { describe, expect, it } from "vitest";
import { addressAt, type GuestAddress, guestAddress } from "../guest-address.ts";
import { GuestMemory } from "../guest-memory.ts";
import { Heap } from "./heap.ts";
import { HeapError } from "./heap-error.ts";

const SIZE = 1 << 20;
const PAGE = 4096;

function makeHeap(options: { size?: number; core?: number; base?: number } = {}): Heap {
  const { size = SIZE, base = 0, ...rest } = options;
  const memory = GuestMemory.allocate({ size: base + size });
  return new Heap({ memory, base: guestAddress(base), size, ...rest });
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

describe("making a heap", () => {
  it.each([
    ["less than a page", { base: 0, size: 4096 }],
    ["more than there is", { base: 0, size: SIZE + 1 }],
    ["a range that no region holds", { base: 8 * SIZE, size: SIZE }],
    ["a misaligned base", { base: 8, size: 65_536 }],
    ["no number", { base: 0, size: Number.NaN }],
    ["a negative size", { base: 0, size: -65_536 }],
  ])("refuses %s", (_, { base, size }) => {
    const memory = GuestMemory.allocate({ size: SIZE });
    expect(() => new Heap({ memory, base: guestAddress(base), size })).toThrow(RangeError);
  });

  it("is possible anywhere in one of several regions, above 4 GiB too", () => {
    const high = guestAddress(2 ** 40);
    const memory = GuestMemory.map([
      { base: guestAddress(0), buffer: new ArrayBuffer(65_536) },
      { base: high, buffer: new ArrayBuffer(SIZE + 64), byteOffset: 64 },
    ]);
    const heap = new Heap({ memory, base: high, size: SIZE, guarded: "guarded" });
    const block = must(heap.allocate(100, 65_536));
    expect(block % 65_536).toBe(0);
    expect(block).toBeGreaterThan(high);
    memory.fill(block, 100, 1);
    heap.free(block);
    heap.check();
    expect(() => new Heap({ memory, base: guestAddress(0), size: SIZE })).toThrow(RangeError);
  });
});

describe("a request", () => {
  it.each([-1, 0.5, Number.NaN, 2 ** 53])("for %s bytes is the caller's bug", (length) => {
    const heap = makeHeap();
    expect(() => heap.allocate(length)).toThrow(RangeError);
    expect(() => heap.allocateDma(length)).toThrow(RangeError);
    expect(() => heap.reallocate(must(heap.allocate(1)), length)).toThrow(RangeError);
    expect(() => heap.createArena().allocate(length)).toThrow(RangeError);
    expect(() => heap.createArena({ chunkBytes: length })).toThrow(RangeError);
  });

  it.each([0, 3, -16, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53 - 1])(
    "for alignment to %s is too",
    (alignment) => {
      expect(() => makeHeap().allocate(16, alignment)).toThrow(/power of two/);
    },
  );

  it("that cannot be met is undefined, is counted, and changes nothing", () => {
    const heap = makeHeap();
    expect(heap.allocate(SIZE)).toBeUndefined();
    expect(heap.allocate(2 ** 52)).toBeUndefined();
    expect(heap.allocate(16, 2 ** 52)).toBeUndefined();
    expect(heap.allocate(16, SIZE)).toBeUndefined();
    expect(heap.allocateDma(SIZE)).toBeUndefined();
    expect(heap.allocateZeroed(SIZE)).toBeUndefined();
    expect(heap.createArena().allocate(SIZE)).toBeUndefined();
    expect(heap.stats()).toMatchObject({ failures: 7, allocations: 0, bytesInUse: 0, bytesHeld: 0 });
  });

  it("finds room in the empty slabs that are kept", () => {
    const heap = makeHeap({ size: 3 * PAGE });
    heap.free(must(heap.allocate(16)));
    expect(heap.stats().slabs).toBe(1);
    expect(heap.allocate(2 * PAGE)).toBeDefined();
  });

  it("is met from every page of a heap", () => {
    const heap = makeHeap({ size: 11 * PAGE });
    const blocks = Array.from({ length: 10 }, () => must(heap.allocate(PAGE)));
    expect(new Set(blocks).size).toBe(10);
  });

  it("for zeroed memory overwrites what was there", () => {
    const heap = makeHeap();
    const dirty = must(heap.allocate(1000));
    heap.memory.fill(dirty, 1000, 7);
    heap.free(dirty);
    expect(must(heap.allocateZeroed(1000))).toBe(dirty);
    expect(heap.memory.bytes(dirty, 1000).some((byte) => byte !== 0)).toBe(false);
  });
});

describe("free finds out", () => {
  const heap = makeHeap({ core: 3 });
  const small = must(heap.allocate(100));
  const large = must(heap.allocate(100_000));

  it.each<[string, number]>([
    ["an address inside a small block", small + 16],
    ["an address inside a large block", large + PAGE],
    ["an unaligned address", large + 8],
    ["an address before the heap", 16],
    ["an address behind the heap", SIZE],
    ["an address of nowhere", 2 ** 52],
    ["no number", Number.NaN],
  ])("%s, as foreign", (_, address) => {
    const error = errorOf(() => heap.free(address as GuestAddress));
    expect(error.code).toBe("ERR_HEAP_FOREIGN");
    expect(error.address).toBe(address);
    expect(error.message).toContain(`no block of the heap of core 3 starts at guest address ${address}`);
    expect(error.message).toContain(error.remedy);
  });

  it.each([100, 100_000])("a block of %s bytes that is freed twice", (length) => {
    const block = must(heap.allocate(length));
    heap.free(block);
    const before = heap.stats();
    const error = errorOf(() => heap.free(block));
    expect(error.code).toBe("ERR_HEAP_DOUBLE_FREE");
    expect(error.message).toContain(`guest address ${block}`);
    expect(() => heap.lengthOf(block)).toThrow(HeapError);
    expect(() => heap.reallocate(block, 1)).toThrow(HeapError);
    expect(heap.stats()).toEqual(before);
  });

  it("the tail of a slab, which is no block", () => {
    const inSlabOf192 = must(heap.allocate(192));
    const slab = Math.floor(inSlabOf192 / PAGE) * PAGE;
    expect(errorOf(() => heap.free(guestAddress(slab + 21 * 192))).code).toBe("ERR_HEAP_FOREIGN");
  });

  it("a block that a DmaBuffer or an arena holds", () => {
    const buffer = must(heap.allocateDma(100));
    const largeBuffer = must(heap.allocateDma(100_000));
    for (const address of [buffer.address, largeBuffer.address]) {
      const error = errorOf(() => heap.free(address));
      expect(error.code).toBe("ERR_HEAP_HELD");
      expect(error.message).toContain("belongs to a DmaBuffer; free the DmaBuffer instead");
      expect(errorOf(() => heap.reallocate(address, 1)).code).toBe("ERR_HEAP_HELD");
    }
    const chunk = must(heap.createArena().allocate(16));
    expect(errorOf(() => heap.free(chunk)).message).toContain("belongs to an arena");
    buffer.free();
    largeBuffer.free();
  });
});

describe("a DMA buffer of a heap", () => {
  it("is aligned, is lent under the rules, and goes back when it is freed", () => {
    const heap = makeHeap();
    const buffer = must(heap.allocateDma(5000, PAGE));
    expect(buffer.address % PAGE).toBe(0);
    buffer.lendToWrite();
    expect(() => buffer.free()).toThrow(/wait until the device has returned it/);
    expect(heap.stats().blocksInUse).toBe(1);
    buffer.giveBack();
    buffer.free();
    expect(heap.stats().blocksInUse).toBe(0);
  });
});

describe("reallocate", () => {
  it("stays where the block's class or the free pages behind it allow", () => {
    const heap = makeHeap();
    const small = must(heap.allocate(65));
    expect(heap.reallocate(small, 80)).toBe(small);
    expect(heap.lengthOf(small)).toBe(80);
    const first = must(heap.allocate(20_000));
    const second = must(heap.allocate(20_000));
    // Large blocks are cut from the end: the second lies before the first.
    heap.free(first);
    expect(heap.reallocate(second, 40_000)).toBe(second);
    expect(heap.stats().bytesHeld).toBe(PAGE + 10 * PAGE);
    expect(heap.reallocate(second, 17_000)).toBe(second);
    expect(heap.stats().bytesHeld).toBe(PAGE + 5 * PAGE);
  });

  it("moves a block that shrinks far, and takes its bytes along", () => {
    const heap = makeHeap();
    const block = must(heap.allocate(30_000));
    heap.memory.fill(block, 30_000, 5);
    const moved = must(heap.reallocate(block, 100));
    expect(moved).not.toBe(block);
    expect(heap.memory.bytes(moved, 100).every((byte) => byte === 5)).toBe(true);
    expect(heap.stats()).toMatchObject({ blocksInUse: 1, bytesInUse: 100, largeBlocks: 0 });
  });

  it("reads no further than the old block goes, which may be the end of memory", () => {
    const heap = makeHeap();
    const last = must(heap.allocate(20_000));
    expect(Math.ceil((last + 20_000) / PAGE) * PAGE).toBe(SIZE);
    heap.memory.fill(last, 20_000, 5);
    const moved = must(heap.reallocate(last, 100_000));
    expect(heap.memory.bytes(moved, 20_000).every((byte) => byte === 5)).toBe(true);
  });

  it("leaves the block alone when there is no room, and shrinks it where it is when there is none to move", () => {
    const heap = makeHeap({ size: 6 * PAGE });
    const block = must(heap.allocate(5 * PAGE));
    heap.memory.fill(block, 5 * PAGE, 5);
    expect(heap.reallocate(block, 6 * PAGE)).toBeUndefined();
    expect(heap.lengthOf(block)).toBe(5 * PAGE);
    expect(heap.stats()).toMatchObject({ failures: 1, bytesInUse: 5 * PAGE });
    expect(heap.reallocate(block, 1)).toBe(block);
    expect(heap.stats()).toMatchObject({ failures: 1, bytesInUse: 1 });
    heap.free(block);
    expect(heap.stats()).toMatchObject({ bytesInUse: 0, blocksInUse: 0 });
  });
});

describe("statistics", () => {
  it("say what is in use, by class, and how fragmented the rest is", () => {
    const heap = makeHeap({ size: 33 * PAGE });
    const blocks = [must(heap.allocate(100)), must(heap.allocate(100)), must(heap.allocate(20_000))];
    heap.free(must(blocks[0]));
    const stats = heap.stats();
    expect(stats).toMatchObject({
      capacity: 32 * PAGE,
      bytesInUse: 20_100,
      peakBytesInUse: 20_200,
      blocksInUse: 2,
      allocations: 3,
      bytesHeld: 6 * PAGE,
      largestFree: 26 * PAGE,
      freeRuns: 1,
      slabs: 1,
      largeBlocks: 1,
      externalFragmentation: 0,
      classes: [{ blockSize: 112, blocksPerSlab: 36, slabs: 1, blocksInUse: 1, peakBlocksInUse: 2 }],
    });
    expect(stats.internalFragmentation).toBeCloseTo(1 - 20_100 / (6 * PAGE));
  });

  it("tell a hole from the free end", () => {
    const heap = makeHeap({ size: 9 * PAGE });
    const [first] = Array.from({ length: 4 }, () => must(heap.allocate(PAGE, 2 * PAGE)));
    expect(first).toBeDefined();
    expect(heap.stats().externalFragmentation).toBeGreaterThan(0);
    expect(heap.stats().largestFree).toBe(PAGE);
  });
});

describe("what a heap knows of its blocks", () => {
  it("is out of reach: a guest that overwrites all of its memory breaks no allocation", () => {
    const heap = makeHeap();
    const blocks = Array.from({ length: 50 }, (_, index) => must(heap.allocate(index * 400)));
    heap.memory.fill(addressAt(heap.base, PAGE), SIZE - PAGE, 0xff);
    for (const block of blocks) heap.free(block);
    heap.trim();
    expect(heap.stats()).toMatchObject({ bytesInUse: 0, blocksInUse: 0, freeRuns: 1 });
  });
});
