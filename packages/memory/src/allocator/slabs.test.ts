import { describe, expect, it } from "vitest";
import { PAGE_INSIDE, PAGE_SLAB, PageRuns } from "./page-runs.ts";
import { CLASS_COUNT, CLASS_SIZE, classFor, PAGE_SIZE, SLAB_BLOCKS, SLAB_PAGES } from "./size-classes.ts";
import { NOT_A_BLOCK, Slabs } from "./slabs.ts";

function make(pageCount = 64): { pages: PageRuns; slabs: Slabs } {
  const pages = new PageRuns(pageCount);
  return { pages, slabs: new Slabs(pages) };
}

/** Takes a block, from a new slab when it must; its offset. */
function take(slabs: Slabs, classIndex: number): number {
  const offset = slabs.take(classIndex, 0);
  if (offset >= 0) return offset;
  expect(slabs.grow(classIndex)).toBe(true);
  return slabs.take(classIndex, 0);
}

function free(slabs: Slabs, offset: number): void {
  const slab = slabs.slabOf(Math.floor(offset / PAGE_SIZE));
  slabs.free(slab, slabs.indexOf(slab, offset));
}

describe("slabs", () => {
  it("of every class find each of their blocks at its offset, and none anywhere else", () => {
    for (let classIndex = 0; classIndex < CLASS_COUNT; classIndex++) {
      const { slabs } = make();
      slabs.grow(classIndex);
      slabs.grow(classIndex);
      const [size = 0, blocks = 0, pages = 0] = [
        CLASS_SIZE[classIndex],
        SLAB_BLOCKS[classIndex],
        SLAB_PAGES[classIndex],
      ];
      // The second slab: its first page is not page 0.
      const start = pages * PAGE_SIZE;
      for (let inside = 0; inside < pages * PAGE_SIZE; inside += 8) {
        const expected = inside % size === 0 && inside / size < blocks ? inside / size : NOT_A_BLOCK;
        if (slabs.indexOf(pages, start + inside) !== expected) expect.unreachable(`class ${size}, offset ${inside}`);
      }
    }
  });

  it("keep what is noted of a block, and a free block has no note", () => {
    const { slabs } = make();
    const classIndex = classFor(100, 16);
    slabs.grow(classIndex);
    const slab = slabs.slabOf(0);
    expect(slabs.note(slab, 0)).toBeLessThan(0);
    slabs.take(classIndex, 0x7fff_fffe);
    expect(slabs.note(slab, 0)).toBe(0x7fff_fffe);
    slabs.setNote(slab, 0, 5);
    expect(slabs.note(slab, 0)).toBe(5);
    slabs.free(slab, 0);
    expect(slabs.note(slab, 0)).toBeLessThan(0);
  });

  it("that are fullest are filled first, so that the emptiest run dry", () => {
    const { slabs, pages } = make();
    const classIndex = classFor(1024, 16);
    const blocks = Array.from({ length: 12 }, () => take(slabs, classIndex));
    // The first slab keeps one block of four, then the third loses one: it is the fuller one.
    for (const offset of [0, 1, 2]) free(slabs, blocks[offset] ?? -1);
    free(slabs, blocks[8] ?? -1);
    expect(take(slabs, classIndex)).toBe(blocks[8]);
    free(slabs, blocks[3] ?? -1);
    slabs.trim();
    expect(pages.kinds[0]).not.toBe(PAGE_SLAB);
    expect(slabs.slabCount[classIndex]).toBe(2);
  });

  it("of which one is empty keep it, a second goes back to the pages, and trim gives the first back too", () => {
    const { slabs, pages } = make();
    const classIndex = classFor(4096, 16);
    const blocks = Array.from({ length: 12 }, () => take(slabs, classIndex));
    for (const offset of blocks) free(slabs, offset);
    expect(slabs.slabCount[classIndex]).toBe(1);
    const kept = take(slabs, classIndex);
    free(slabs, kept);
    expect(slabs.slabCount[classIndex]).toBe(1);
    expect(slabs.trim()).toBe(1);
    expect(slabs.trim()).toBe(0);
    expect(pages.longest()).toBe(64);
    expect(pages.kinds.slice(1, 63).every((kind) => kind === PAGE_INSIDE)).toBe(true);
  });

  it("cannot grow without a run of pages", () => {
    const { slabs } = make(2);
    expect(slabs.grow(classFor(4096, 16))).toBe(false);
    expect(slabs.take(classFor(4096, 16), 0)).toBe(-1);
  });
});
