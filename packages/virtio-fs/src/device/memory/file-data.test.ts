import { Errno, SystemError } from "@toril/virtio/platform";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CHUNK_SIZE, FileData, Space } from "./file-data.ts";

const CHUNKS = 6;
const REACH = CHUNKS * CHUNK_SIZE;

/** Offsets that matter: around the edges of chunks. */
const offset = fc
  .tuple(fc.nat(CHUNKS - 1), fc.constantFrom(0, 1, 100, CHUNK_SIZE / 2, CHUNK_SIZE - 1))
  .map(([chunk, within]) => chunk * CHUNK_SIZE + within);
const length = fc.constantFrom(0, 1, 2, 99, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE + 7);

type Step = { kind: "write" | "truncate" | "punch" | "allocate"; offset: number; length: number; byte: number };
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("write", "truncate", "punch", "allocate"),
  offset,
  length,
  byte: fc.integer({ min: 1, max: 255 }),
});

test("behaves as a plain array of bytes does, and its space adds up", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const space = new Space(100 * CHUNK_SIZE);
      const data = new FileData(space);
      let model = new Uint8Array(0);
      const grow = (size: number): void => {
        if (size <= model.length) return;
        const grown = new Uint8Array(size);
        grown.set(model);
        model = grown;
      };
      for (const { kind, offset: at, length: count, byte } of steps) {
        if (kind === "write") {
          const half = Math.floor(count / 2);
          const bytes = new Uint8Array(count).fill(byte);
          expect(data.write(at, [bytes.subarray(0, half), bytes.subarray(half)])).toBe(count);
          if (count > 0) grow(at + count);
          model.set(bytes, count > 0 ? at : 0);
        } else if (kind === "truncate") {
          data.truncate(at);
          if (at < model.length) model = model.slice(0, at);
          grow(at);
        } else if (kind === "punch") {
          data.punch(at, count);
          if (at < model.length) model.fill(0, at, Math.min(at + count, model.length));
        } else {
          data.allocate(at, count);
        }
        expect(data.size).toBe(model.length);
        expect(space.used).toBe(data.allocated);
      }
      const read = new Uint8Array(REACH * 2);
      expect(data.read(0, [read.subarray(0, 70_000), read.subarray(70_000)])).toBe(model.length);
      expect(Buffer.compare(read.subarray(0, model.length), model)).toBe(0);
      // Where it says there is a hole, there are zeros.
      for (let at = 0; at < data.size; ) {
        const start = data.find("data", at) ?? data.size;
        expect(model.subarray(at, start).every((byte) => byte === 0)).toBe(true);
        at = start >= data.size ? data.size : (data.find("hole", start) ?? data.size);
      }
      data.free();
      expect(space.used).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test("a write that does not fit says how far it got, then ENOSPC", () => {
  const data = new FileData(new Space(CHUNK_SIZE));
  expect(data.write(CHUNK_SIZE - 10, [new Uint8Array(20)])).toBe(10);
  expect(() => data.write(CHUNK_SIZE, [new Uint8Array(1)])).toThrow(
    new SystemError(Errno.ENOSPC, "write", `${CHUNK_SIZE} bytes are in use`),
  );
});
