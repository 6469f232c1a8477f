import fc from "fast-check";
import { expect, test } from "vitest";
import { byteString, decode, toBytes } from "./byte-string.ts";

test("a string becomes the bytes that TextEncoder gives, lone surrogates included", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.oneof(fc.constantFrom("\ud800", "\udc00", "é", "€", "😀"), fc.string()) }),
      (text) => {
        expect(toBytes(byteString(text))).toEqual(new TextEncoder().encode(text));
      },
    ),
  );
});

test("bytes become the text that TextDecoder gives, ill-formed parts included", () => {
  const awkward = fc.constantFrom(
    0x00,
    0x41,
    0x80,
    0x9f,
    0xa0,
    0xbf,
    0xc0,
    0xc2,
    0xe0,
    0xed,
    0xef,
    0xf0,
    0xf4,
    0xf5,
    0xff,
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(awkward, fc.integer({ min: 0, max: 255 }))), (bytes) => {
      const array = Uint8Array.from(bytes);
      expect(decode(byteString(array))).toBe(new TextDecoder("utf-8", { ignoreBOM: true }).decode(array));
    }),
    { numRuns: 2000 },
  );
});

test("bytes survive the trip unchanged", () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  expect(toBytes(byteString(all))).toEqual(all);
});
