import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { indexAfter, indexBefore, indexDistance } from "./ring-index.ts";

const index = fc.nat(65_535);

describe("§2.7.6, §2.7.8: free-running 16-bit indices", () => {
  it("wrap from 65,535 to 0 and back", () => {
    expect([indexAfter(65_535), indexBefore(0), indexAfter(7), indexBefore(7)]).toEqual([0, 65_535, 8, 6]);
  });

  it("are as far apart as the steps between them", () => {
    fc.assert(
      fc.property(index, fc.nat(65_535), (from, steps) => {
        expect(indexDistance(from, (from + steps) % 65_536)).toBe(steps);
        expect(indexBefore(indexAfter(from))).toBe(from);
      }),
    );
  });
});
