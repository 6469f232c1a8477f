import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { RegionCache } from "./region-cache.ts";

const TWO_GIB = 2 ** 31;

/** Regions below, across and above 2 GiB, where small integers end; backed by nothing but a few KiB. */
function cacheOver(...bases: number[]): RegionCache {
  const buffer = new ArrayBuffer(4096 * bases.length);
  return new RegionCache(
    GuestMemory.map(bases.map((base, i) => ({ base: guestAddress(base), buffer, byteOffset: 4096 * i, size: 4096 }))),
  );
}

describe("what lies in guest memory", () => {
  const bases = [0, 4096, 65_536, TWO_GIB - 8192, TWO_GIB - 4096, TWO_GIB - 2048, TWO_GIB, 2 ** 32 - 2048, 2 ** 40];
  it.each(bases)("a region at %d: exactly its bytes", (base) => {
    const cache = cacheOver(base);
    const inside = [0, 1, 2047, 4095].every((at) => cache.holds(base + at, 1) && cache.holds(base + at, 4096 - at));
    const outside = [0, 1, 2047, 4095].some((at) => cache.holds(base + at, 4097 - at));
    expect([inside, outside]).toEqual([true, false]);
    expect([cache.holds(base - 1, 1), cache.holds(base - 1, 2), cache.holds(base + 4096, 1)]).toEqual([
      false,
      false,
      false,
    ]);
    expect(cache.holds(base, 0xffff_ffff)).toBe(false);
  });

  it("finds the region, also after another one", () => {
    const cache = cacheOver(4096, 65_536, TWO_GIB, 2 ** 40);
    for (const base of [65_536, 4096, 2 ** 40, TWO_GIB, 4096, 2 ** 40]) {
      expect(cache.locate(base + 16, 4080)?.base).toBe(base);
      expect(cache.locate(base + 16, 4081)).toBeUndefined();
    }
  });

  it("says no to an empty run at the last small integer, when the memory lies above", () => {
    expect(cacheOver(TWO_GIB).holds(TWO_GIB - 1, 0)).toBe(false);
  });
});
