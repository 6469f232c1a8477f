import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { guestAddress } from "./guest-address.ts";
import { GuestMemory, GuestMemoryError } from "./guest-memory.ts";

const BASE = 0x10_000;
const SIZE = 65_536;
const at = (offset: number): ReturnType<typeof guestAddress> => guestAddress(BASE + offset);

afterEach(() => {
  vi.unstubAllGlobals();
});

function withoutWasm(sharing: "shared" | "unshared"): GuestMemory {
  vi.stubGlobal("WebAssembly", undefined);
  return GuestMemory.allocate({ size: SIZE, sharing, base: at(0) });
}

/** One buffer with something on both sides of the region. */
function mapped(): GuestMemory {
  const buffer = new ArrayBuffer(SIZE + 128);
  return GuestMemory.map([{ base: at(0), buffer, byteOffset: 64, size: SIZE }]);
}

const kinds: [string, () => GuestMemory][] = [
  ["unshared", () => GuestMemory.allocate({ size: SIZE, base: at(0) })],
  ["shared", () => GuestMemory.allocate({ size: SIZE, base: at(0), sharing: "shared" })],
  ["unshared, without WebAssembly", () => withoutWasm("unshared")],
  ["shared, without WebAssembly", () => withoutWasm("shared")],
  ["mapped", mapped],
];

/** Lengths on both sides of every threshold, at all alignments. */
const run = fc.record({
  offset: fc.integer({ min: 0, max: 4096 }),
  other: fc.integer({ min: 0, max: 4096 }),
  length: fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 500, max: 600 }),
    fc.integer({ min: 0, max: 4000 }),
  ),
  skew: fc.integer({ min: 0, max: 15 }),
  op: fc.constantFrom("write", "read", "copy", "fill", "write from itself", "read into itself", "write from shared"),
  seed: fc.integer({ min: 1, max: 255 }),
});

const pattern = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 255);

describe.each(kinds)("guest memory, %s", (_, make) => {
  it("does to its bytes what a plain array's would be", () => {
    const memory = make();
    const model = new Uint8Array(SIZE);
    const whole = memory.bytes(at(0), SIZE);
    fc.assert(
      fc.property(run, ({ offset, other, length, skew, op, seed }) => {
        const host = new Uint8Array(length + skew).subarray(skew);
        if (op === "write") {
          host.set(pattern(length, seed));
          memory.write(at(offset), host);
          model.set(host, offset);
        } else if (op === "write from shared") {
          const shared = new Uint8Array(new SharedArrayBuffer(length + skew), skew);
          shared.set(pattern(length, seed));
          memory.write(at(offset), shared);
          model.set(shared, offset);
        } else if (op === "read") {
          memory.read(at(offset), host);
          expect(host).toEqual(model.slice(offset, offset + length));
        } else if (op === "fill") {
          memory.fill(at(offset), length, seed);
          model.fill(seed, offset, offset + length);
        } else {
          if (op === "copy") memory.copy(at(other), at(offset), length);
          else if (op === "write from itself") memory.write(at(other), whole.subarray(offset, offset + length));
          else memory.read(at(offset), whole.subarray(other, other + length));
          model.copyWithin(other, offset, offset + length);
        }
        expect(Buffer.compare(whole, model)).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it("writes nothing beside the range (skewed copies take a detour through it)", () => {
    const memory = make();
    for (let skew = 0; skew < 8; skew++) {
      memory.fill(at(0), SIZE, 9);
      const host = new Uint8Array(new ArrayBuffer(1008), skew, 1000);
      memory.write(at(3), host);
      expect([...memory.bytes(at(0), 3)]).toEqual([9, 9, 9]);
      expect([...memory.bytes(at(1003), 3)]).toEqual([9, 9, 9]);
      const around = new Uint8Array(1016).fill(5);
      memory.read(at(3), around.subarray(skew, skew + 1000));
      expect(around.indexOf(0)).toBe(skew);
      expect(around.lastIndexOf(0)).toBe(skew + 999);
    }
  });

  it("says no to every range that is not all there", () => {
    const memory = make();
    const empty = new Uint8Array(0);
    for (const [address, length] of [
      [at(-1), 1],
      [at(SIZE), 1],
      [at(SIZE - 1), 2],
      [guestAddress(0), SIZE],
      [at(0), -1],
      [at(0), Number.NaN],
    ] as const) {
      expect(memory.contains(address, length)).toBe(false);
      expect(() => memory.check(address, length)).toThrow(GuestMemoryError);
      expect(() => memory.bytes(address, length)).toThrow(/not in guest memory \(65536\.\.131072\)/);
      expect(() => memory.fill(address, length)).toThrow(GuestMemoryError);
      expect(() => memory.copy(address, at(0), length)).toThrow(GuestMemoryError);
      expect(() => memory.copy(at(0), address, length)).toThrow(GuestMemoryError);
    }
    expect(() => memory.write(at(SIZE - 1), new Uint8Array(2))).toThrow(GuestMemoryError);
    expect(() => memory.read(at(SIZE - 1), new Uint8Array(2))).toThrow(GuestMemoryError);
    memory.write(at(SIZE), empty);
    memory.read(at(SIZE), empty);
  });
});

describe("guest memory", () => {
  it("is rounded up to whole wasm pages, and refuses what is no size", () => {
    expect(GuestMemory.allocate({ size: 1 }).size).toBe(65_536);
    for (const size of [0, -1, 0.5, Number.NaN]) expect(() => GuestMemory.allocate({ size })).toThrow(RangeError);
    expect(() => GuestMemory.allocate({ size: 1, base: guestAddress(2048) })).toThrow(/4096/);
    expect(() => GuestMemory.map([])).toThrow(GuestMemoryError);
  });

  it("of several regions finds each address in its own, and no range across two", () => {
    const low = new ArrayBuffer(4096);
    const high = new SharedArrayBuffer(4096);
    const far = guestAddress(2 ** 40);
    const memory = GuestMemory.map([
      { base: far, buffer: high },
      { base: guestAddress(4096), buffer: low, byteOffset: 2048 },
      { base: guestAddress(6144), buffer: low, size: 2048 },
    ]);
    expect(memory.regions.map((region) => region.base)).toEqual([4096, 6144, far]);
    expect(memory.size).toBe(8192);
    expect(memory.contains(guestAddress(6140), 8)).toBe(false);
    memory.write(far, Uint8Array.of(1, 2, 3, 4));
    memory.copy(guestAddress(6144), far, 4);
    memory.copy(guestAddress(4096), guestAddress(6144), 4);
    expect([...new Uint8Array(low, 0, 4)]).toEqual([1, 2, 3, 4]);
    expect([...new Uint8Array(low, 2048, 4)]).toEqual([1, 2, 3, 4]);
    const back = new Uint8Array(4);
    memory.read(far, back);
    expect([...back]).toEqual([1, 2, 3, 4]);
  });

  it("refuses regions that overlap", () => {
    const buffer = new ArrayBuffer(4096);
    const overlapping = [
      { base: guestAddress(4088), buffer },
      { base: guestAddress(0), buffer },
    ];
    expect(() => GuestMemory.map(overlapping)).toThrow(/overlap/);
  });

  it("is attached only to a wasm memory", () => {
    expect(() => GuestMemory.attach({})).toThrow(TypeError);
    expect(() => GuestMemory.attach({ buffer: 1 })).toThrow(TypeError);
  });

  it("is the same memory in another thread", { timeout: 60_000 }, async () => {
    const memory = GuestMemory.allocate({ size: SIZE, sharing: "shared", base: at(0) });
    memory.write(at(100), Uint8Array.of(1, 2, 3));
    const worker = new Worker(new URL("../test/attach-worker.ts", import.meta.url), {
      workerData: { wasm: memory.wasm, base: at(0), from: at(100), to: at(201) },
    });
    const exitCode = await new Promise<number>((resolve, reject) => {
      worker.on("error", reject).on("exit", resolve);
    });
    expect(exitCode).toBe(0);
    expect([...memory.bytes(at(201), 3)]).toEqual([2, 3, 4]);
  });
});
