import fc from "fast-check";
import { expect, test } from "vitest";
import { Direction, fill, firstFault, readAll } from "./payload.ts";

const message = fc.nat(10_000);
const size = fc.integer({ min: 1, max: 300 });

test("what was filled in is right, in pieces of any length", () => {
  fc.assert(
    fc.property(size, message, fc.nat(300), (length, number, cut) => {
      const bytes = new Uint8Array(length);
      fill(bytes, Direction.PING, number);
      const at = Math.min(cut, length);
      expect(firstFault(bytes.subarray(0, at), Direction.PING, number, 0)).toBe(-1);
      expect(firstFault(bytes.subarray(at), Direction.PING, number, at)).toBe(-1);
    }),
  );
});

test("one wrong byte is found where it is", () => {
  fc.assert(
    fc.property(size, message, fc.nat(), fc.integer({ min: 1, max: 255 }), (length, number, where, change) => {
      const bytes = new Uint8Array(length);
      fill(bytes, Direction.PONG, number);
      const at = where % length;
      bytes[at] = (bytes[at] ?? 0) ^ change;
      expect(firstFault(bytes, Direction.PONG, number, 0)).toBe(at);
    }),
  );
});

test.each([
  ["another message", Direction.PING, 8, 0],
  ["the other direction", Direction.PONG, 7, 0],
  ["a piece from elsewhere", Direction.PING, 7, 4],
] as const)("bytes of %s are a fault", (_, direction, number, offset) => {
  const bytes = new Uint8Array(64);
  fill(bytes, Direction.PING, 7);
  expect(firstFault(bytes, direction, number, offset)).toBeGreaterThanOrEqual(0);
});

test("readAll reads every byte, wherever the bytes begin", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.nat(7), fc.nat(), (bytes, skew, where) => {
      const view = new Uint8Array(bytes.length + skew + 8).subarray(skew, skew + bytes.length);
      view.set(bytes);
      const before = readAll(view);
      const at = where % bytes.length;
      view[at] = (view[at] ?? 0) ^ 1;
      expect(readAll(view)).not.toBe(before);
    }),
  );
});
