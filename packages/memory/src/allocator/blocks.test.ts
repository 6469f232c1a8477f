import { describe, expect, it } from "vitest";
import { Blocks } from "./blocks.ts";
import { HELD_BY_ADDRESS, HELD_BY_ARENA, HELD_BY_DMA_BUFFER, NO_BLOCK_STARTS_HERE, NOT_IN_USE } from "./numbers.ts";
import { GRANULE, PAGE_SIZE } from "./size-classes.ts";

const PAGES = 64;

describe("blocks", () => {
  it("are found at their starts alone, whatever the offset", () => {
    const blocks = new Blocks(PAGES, 1);
    const starts = new Map<number, number>();
    for (const bytes of [16, 200, 5000]) {
      const offset = blocks.takeSmallFromNewSlab(bytes, GRANULE, bytes, HELD_BY_DMA_BUFFER);
      starts.set(offset, bytes);
    }
    starts.set(blocks.takeLarge(20_000, GRANULE, 20_000, HELD_BY_ARENA), 20_000);
    for (let offset = -16; offset < (PAGES + 1) * PAGE_SIZE; offset += 8) {
      const handle = blocks.find(offset);
      const bytes = starts.get(offset);
      if (handle >= 0 !== (bytes !== undefined)) expect.unreachable(`offset ${offset}`);
      if (bytes === undefined) continue;
      expect(blocks.length(handle)).toBe(bytes);
      expect(blocks.capacity(handle)).toBeGreaterThanOrEqual(bytes);
      expect(blocks.holder(handle)).toBe(bytes === 20_000 ? HELD_BY_ARENA : HELD_BY_DMA_BUFFER);
      expect(blocks.isLarge(handle)).toBe(bytes === 20_000);
    }
  });

  it("that are not there are told apart: never a block, or none in use", () => {
    const blocks = new Blocks(PAGES, 0);
    const large = blocks.takeLarge(3 * PAGE_SIZE, GRANULE, 1, HELD_BY_ADDRESS);
    expect(blocks.find(large + 2 * PAGE_SIZE)).toBe(NO_BLOCK_STARTS_HERE);
    expect(blocks.find(large + 16)).toBe(NO_BLOCK_STARTS_HERE);
    expect(blocks.find(0)).toBe(NOT_IN_USE);
    expect(blocks.find(5 * PAGE_SIZE)).toBe(NOT_IN_USE);
    for (const nowhere of [-1, PAGES * PAGE_SIZE, 2 ** 40, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(blocks.find(nowhere)).toBe(NO_BLOCK_STARTS_HERE);
    }
    blocks.free(blocks.find(large));
    expect(blocks.find(large)).toBe(NOT_IN_USE);
  });

  it("are all visited, free and in use, with no byte between them but the tails of slabs", () => {
    const blocks = new Blocks(PAGES, 0);
    blocks.takeSmallFromNewSlab(4096, GRANULE, 4096, HELD_BY_ADDRESS);
    blocks.takeLarge(20_000, GRANULE, 20_000, HELD_BY_ADDRESS);
    let end = 0;
    let inUse = 0;
    blocks.forEach((offset, handle) => {
      expect(offset).toBe(end);
      end += handle < 0 ? -handle : blocks.capacity(handle);
      if (handle >= 0) inUse++;
    });
    expect(end).toBe(PAGES * PAGE_SIZE);
    expect(inUse).toBe(2);
  });

  it("that shrink and grow give and take their last pages, and give back what they have then", () => {
    const blocks = new Blocks(PAGES, 0);
    const offset = blocks.takeLarge(6 * PAGE_SIZE, GRANULE, 6 * PAGE_SIZE, HELD_BY_ADDRESS);
    const handle = blocks.find(offset);
    expect(blocks.resizeLarge(handle, 2 * PAGE_SIZE)).toBe("resized");
    expect([blocks.capacity(handle), blocks.largePages, blocks.pages.freePages]).toEqual([2 * PAGE_SIZE, 2, PAGES - 2]);
    expect(blocks.resizeLarge(handle, 3 * PAGE_SIZE + 1)).toBe("resized");
    expect([blocks.capacity(handle), blocks.largePages, blocks.pages.freePages]).toEqual([4 * PAGE_SIZE, 4, PAGES - 4]);
    // What is behind the block is free, and not long enough.
    expect(blocks.resizeLarge(handle, (PAGES + 1) * PAGE_SIZE)).toBe("unavailable");
    expect(blocks.capacity(handle)).toBe(4 * PAGE_SIZE);
    blocks.free(handle);
    expect([blocks.largePages, blocks.largeBlocks, blocks.pages.freePages, blocks.pages.freeRuns]).toEqual([
      0,
      0,
      PAGES,
      1,
    ]);
  });

  it("aligned above a page are aligned by address, not by offset", () => {
    const firstPage = 2 ** 33 + 3;
    const blocks = new Blocks(PAGES, firstPage);
    const offset = blocks.takeLarge(PAGE_SIZE, 16 * PAGE_SIZE, PAGE_SIZE, HELD_BY_ADDRESS);
    expect((firstPage + offset / PAGE_SIZE) % 16).toBe(0);
    expect(blocks.takeLarge(1, 2 ** 45, 1, HELD_BY_ADDRESS)).toBeLessThan(0);
  });
});
