import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addressAt,
  addressFromHalves,
  alignUp,
  guestAddress,
  highHalf,
  isGuestAddress,
  lowHalf,
} from "./guest-address.ts";

const LAST = Number.MAX_SAFE_INTEGER;
const anyAddress = fc.maxSafeNat().map(guestAddress);

describe("a guest address", () => {
  it.each([-1, 0.5, LAST + 1, Number.NaN, Number.POSITIVE_INFINITY])("is not %s", (value) => {
    expect(isGuestAddress(value)).toBe(false);
    expect(() => guestAddress(value)).toThrow(RangeError);
  });

  it("moves only to where an address can be", () => {
    expect(addressAt(guestAddress(16), -16)).toBe(0);
    expect(() => addressAt(guestAddress(16), -17)).toThrow(RangeError);
    expect(() => addressAt(guestAddress(LAST), 1)).toThrow(RangeError);
  });

  it("survives the way through its two halves", () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        expect(addressFromHalves(lowHalf(address), highHalf(address))).toBe(address);
        // The halves as a signed view of guest memory gives them.
        expect(addressFromHalves(lowHalf(address) | 0, highHalf(address) | 0)).toBe(address);
      }),
    );
  });

  it("is not made from halves that say more than 2^53 - 1", () => {
    expect(addressFromHalves(0xffff_ffff, 0x001f_ffff)).toBe(LAST);
    expect(addressFromHalves(0, 0x0020_0000)).toBeUndefined();
    expect(addressFromHalves(-1, -1)).toBeUndefined();
  });

  it("aligns upwards, by less than the alignment", () => {
    const upTo2To40 = fc.integer({ min: 0, max: 40 }).map((bits) => 2 ** bits);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 52 }).map(guestAddress), upTo2To40, (address, alignment) => {
        const aligned = alignUp(address, alignment);
        expect(aligned % alignment).toBe(0);
        expect(aligned - address).toBeGreaterThanOrEqual(0);
        expect(aligned - address).toBeLessThan(alignment);
      }),
    );
  });
});
