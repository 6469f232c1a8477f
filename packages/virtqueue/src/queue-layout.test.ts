import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { isQueueSize, layoutAt, layoutProblem, type QueueLayout, queueBytes } from "./queue-layout.ts";

const memory = GuestMemory.map([
  { base: guestAddress(0), buffer: new ArrayBuffer(65_536) },
  { base: guestAddress(65_536), buffer: new ArrayBuffer(65_536) },
]);

describe("§2.7: the layout of a split virtqueue", () => {
  it("accepts powers of two up to 32,768", () => {
    expect([1, 2, 256, 32_768].every(isQueueSize)).toBe(true);
    expect([0, -1, 3, 65_536, 1.5, Number.NaN].some(isQueueSize)).toBe(false);
    expect(() => layoutAt(guestAddress(0), 3)).toThrow("a queue of 3 entries: it must be a power of 2 up to 32768");
  });

  it("puts the areas one behind the other, each aligned", () => {
    // 8 descriptors: 128 bytes; available ring 6 + 2 · 8 = 22, so the used ring starts at 150, aligned to 152.
    expect(layoutAt(guestAddress(0x1004), 8)).toEqual({
      size: 8,
      descriptorTable: 0x1010,
      availableRing: 0x1010 + 128,
      usedRing: 0x1010 + 152,
    });
    expect(queueBytes(8)).toBe(152 + 70);
    for (const size of [1, 2, 4, 128]) {
      const { usedRing } = layoutAt(guestAddress(0), size);
      expect(usedRing + 6 + 8 * size).toBe(queueBytes(size));
    }
  });

  it.each<[string, Partial<QueueLayout>, string | undefined]>([
    ["a sound layout", {}, undefined],
    ["a size that is no power of two", { size: 12 }, "a queue of 12 entries: it must be a power of 2 up to 32768"],
    [
      "a misaligned descriptor table",
      { descriptorTable: guestAddress(8) },
      "the descriptor table at guest address 8 must",
    ],
    [
      "a misaligned available ring",
      { availableRing: guestAddress(1) },
      "the available ring at guest address 1 must be",
    ],
    ["a misaligned used ring", { usedRing: guestAddress(2) }, "the used ring at guest address 2 must be aligned to 4"],
    ["an area across two regions", { availableRing: guestAddress(65_534) }, "the available ring of 22 bytes at guest"],
    [
      "an area outside memory",
      { usedRing: guestAddress(2 ** 40) },
      "the used ring of 70 bytes at guest address 1099511",
    ],
  ])("finds what is wrong with %s", (_, change, problem) => {
    const layout = { ...layoutAt(guestAddress(0x100), 8), ...change };
    const found = layoutProblem(memory, layout);
    if (problem === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(problem);
  });
});
