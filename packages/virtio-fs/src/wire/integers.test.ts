import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  getI32,
  getOpaque,
  getQuantity,
  getSeconds,
  getU16,
  getU32,
  opaque,
  opaqueKey,
  opaqueToBigInt,
  opaqueToNumber,
  putOpaque,
  putQuantity,
  putSeconds,
  putU16,
  putU32,
  setOpaque,
} from "./integers.ts";

const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const bytesOf = (value: bigint): Uint8Array => {
  const view = new DataView(new ArrayBuffer(12));
  view.setBigUint64(3, BigInt.asUintN(64, value), true);
  return new Uint8Array(view.buffer);
};

describe("integers, against DataView", () => {
  test("16 and 32 bits, at any alignment", () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }), fc.nat(3), (value, at) => {
        const bytes = new Uint8Array(8);
        const view = new DataView(bytes.buffer);
        putU32(bytes, at, value);
        expect(getU32(bytes, at)).toBe(view.getUint32(at, true));
        expect(getU32(bytes, at)).toBe(value >>> 0);
        expect(getI32(bytes, at)).toBe(view.getInt32(at, true));
        putU16(bytes, at, value);
        expect(getU16(bytes, at)).toBe(view.getUint16(at, true));
      }),
    );
  });

  test("an opaque value survives, whatever it is", () => {
    fc.assert(
      fc.property(u64, (value) => {
        const bytes = bytesOf(value);
        const into = opaque();
        getOpaque(bytes, 3, into);
        expect(opaqueToBigInt(into)).toBe(value);
        const out = new Uint8Array(12);
        putOpaque(out, 3, into);
        expect(out).toEqual(bytes);
        expect(BigInt(opaqueKey(into))).toBe(value);
        expect(opaqueToNumber(into)).toBe(value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : -1);
        const again = opaque();
        setOpaque(again, value);
        expect(again).toEqual(into);
      }),
    );
  });

  test("a quantity is exact, or -1 from 2^53 on", () => {
    fc.assert(
      fc.property(fc.oneof(u64, fc.maxSafeNat().map(BigInt)), (value) => {
        const quantity = getQuantity(bytesOf(value), 3);
        expect(quantity).toBe(value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : -1);
        if (quantity === -1) return;
        const out = new Uint8Array(12);
        putQuantity(out, 3, quantity);
        expect(out).toEqual(bytesOf(value));
      }),
    );
    expect(getQuantity(bytesOf(2n ** 53n - 1n), 3)).toBe(Number.MAX_SAFE_INTEGER);
    expect(getQuantity(bytesOf(2n ** 53n), 3)).toBe(-1);
  });

  test("seconds before 1970 are negative", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const out = new Uint8Array(12);
        putSeconds(out, 3, value);
        expect(out).toEqual(bytesOf(BigInt(value)));
        expect(getSeconds(out, 3)).toBe(value);
      }),
    );
  });

  test("what a number cannot hold exactly is the caller's bug", () => {
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => putQuantity(new Uint8Array(8), 0, value)).toThrow(RangeError);
      expect(() => setOpaque(opaque(), value)).toThrow(RangeError);
    }
    expect(() => putSeconds(new Uint8Array(8), 0, 1.5)).toThrow(RangeError);
  });
});
