import fc from "fast-check";
import { expect, test } from "vitest";
import { readableViews, SegmentMessage, writableViews } from "./fuse-message.ts";

const sizes = fc.array(fc.nat(9), { minLength: 1, maxLength: 6 });

/** Segments of these sizes, and all their bytes in a row. */
function segments(lengths: readonly number[]): { parts: Uint8Array[]; all: () => number[] } {
  let next = 0;
  const parts = lengths.map((length) => Uint8Array.from({ length }, () => next++));
  return { parts, all: () => parts.flatMap((part) => [...part]) };
}

test("reads, writes and views see one run of bytes, however it is cut", () => {
  fc.assert(
    fc.property(sizes, sizes, fc.nat(40), fc.nat(40), (readable, writable, offset, length) => {
      const [source, target] = [segments(readable), segments(writable)];
      const message = new SegmentMessage(source.parts, target.parts);
      const expected = source.all().slice(offset, offset + length);
      const read = new Uint8Array(length);
      expect(message.read(offset, read)).toBe(expected.length);
      expect([...read.subarray(0, expected.length)]).toEqual(expected);
      expect(readableViews(message, offset, length).flatMap((view) => [...view])).toEqual(expected);

      const before = target.all();
      const taken = message.write(offset, new Uint8Array(length).fill(255));
      expect(taken).toBe(before.slice(offset, offset + length).length);
      expect(target.all()).toEqual(before.map((byte, i) => (i >= offset && i < offset + length ? 255 : byte)));
      const views = writableViews(message, offset, length);
      expect(views.every((view) => target.parts.some((part) => part.buffer === view.buffer))).toBe(true);
      expect(views.reduce((sum, view) => sum + view.length, 0)).toBe(taken);
    }),
  );
});

test("there is no segment beyond the last", () => {
  expect(() => new SegmentMessage([], []).view(0)).toThrow(RangeError);
});
