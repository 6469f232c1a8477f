import { describe, expect, it } from "vitest";
import { guestAddress } from "./guest-address.ts";
import { MemoryRegion } from "./region.ts";

const at = (base: number): ReturnType<typeof guestAddress> => guestAddress(base);

describe("a region", () => {
  it("is a window of its buffer", () => {
    const buffer = new ArrayBuffer(64);
    new Uint8Array(buffer)[24] = 7;
    const region = new MemoryRegion({ base: at(4096), buffer, byteOffset: 24, size: 16 });
    expect(region.u8[0]).toBe(7);
    expect([region.u8.length, region.u16.length, region.u32.length, region.i32.length]).toEqual([16, 8, 4, 4]);
  });

  it("takes the rest of the buffer when no size is given", () => {
    expect(new MemoryRegion({ base: at(0), buffer: new ArrayBuffer(64), byteOffset: 24 }).size).toBe(40);
  });

  it.each([
    ["a misaligned base", { base: at(4) }],
    ["a misaligned offset", { base: at(0), byteOffset: 4, size: 8 }],
    ["an odd size", { base: at(0), size: 12 }],
    ["no bytes", { base: at(0), size: 0 }],
    ["a negative size", { base: at(0), size: -8 }],
    ["more bytes than the buffer has", { base: at(0), byteOffset: 8, size: 64 }],
    ["a negative offset", { base: at(0), byteOffset: -8, size: 64 }],
    ["no number", { base: at(0), size: Number.NaN }],
    ["an end beyond the last address", { base: at(2 ** 53 - 8) }],
  ])("refuses %s", (_, source) => {
    expect(() => new MemoryRegion({ buffer: new ArrayBuffer(64), ...source })).toThrow(RangeError);
  });

  it.each([
    [4096, 64, true],
    [4159, 1, true],
    [4160, 0, true],
    [4160, 1, false],
    [4095, 1, false],
    [4096, 65, false],
    [4096, -1, false],
    [0, 64, false],
    [4096, Number.NaN, false],
    [Number.NaN, 1, false],
    [4100, Number.MAX_SAFE_INTEGER, false],
    [Number.MAX_SAFE_INTEGER, 64, false],
  ])("knows whether it holds the range at %s of %s bytes: %s", (address, length, held) => {
    expect(new MemoryRegion({ base: at(4096), buffer: new ArrayBuffer(64) }).holds(address, length)).toBe(held);
  });

  it("knows whether threads can share it", () => {
    expect(new MemoryRegion({ base: at(0), buffer: new ArrayBuffer(8) }).sharing).toBe("unshared");
    expect(new MemoryRegion({ base: at(0), buffer: new SharedArrayBuffer(8) }).sharing).toBe("shared");
  });
});
