import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CLASS_COUNT,
  CLASS_SIZE,
  classFor,
  GRANULE,
  MAX_SMALL,
  PAGE_SIZE,
  SLAB_BLOCKS,
  SLAB_PAGES,
} from "./size-classes.ts";

const classes = Array.from({ length: CLASS_COUNT }, (_, index) => ({
  size: CLASS_SIZE[index] ?? 0,
  pages: SLAB_PAGES[index] ?? 0,
  blocks: SLAB_BLOCKS[index] ?? 0,
}));

describe("size classes", () => {
  it("grow by a quarter at most, in granules, to MAX_SMALL", () => {
    expect(classes[0]?.size).toBe(GRANULE);
    expect(classes.at(-1)?.size).toBe(MAX_SMALL);
    for (let i = 1; i < classes.length; i++) {
      const [before, after] = [classes[i - 1]?.size ?? 0, classes[i]?.size ?? 0];
      expect(after % GRANULE).toBe(0);
      expect(after - before).toBeLessThanOrEqual(Math.max(GRANULE, before / 4));
      expect(after).toBeGreaterThan(before);
    }
  });

  it("are cut from slabs that lose an eighth at most behind the last block", () => {
    for (const { size, pages, blocks } of classes) {
      expect(blocks).toBeGreaterThanOrEqual(4);
      expect(blocks * size).toBeLessThanOrEqual(pages * PAGE_SIZE);
      expect(pages * PAGE_SIZE - blocks * size).toBeLessThanOrEqual((pages * PAGE_SIZE) / 8);
      expect(pages).toBeLessThanOrEqual(16);
    }
  });

  it("fit: the smallest class that holds the length at multiples of the alignment", () => {
    const powers = fc.integer({ min: 0, max: 12 }).map((bits) => 2 ** bits);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_SMALL }), powers, (length, alignment) => {
        const found = classFor(length, alignment);
        const fitting = classes.findIndex(({ size }) => size >= length && size % alignment === 0);
        expect(found).toBe(fitting);
      }),
    );
  });
});
