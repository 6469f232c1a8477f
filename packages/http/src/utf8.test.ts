import fc from "fast-check";
import { expect, it } from "vitest";
import { readUtf8, utf8Length, writeUtf8 } from "./utf8.ts";

const anyText = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));

it("encodes as TextEncoder does, lone surrogates included", () => {
  fc.assert(
    fc.property(fc.oneof(anyText, fc.string({ unit: "binary" })), (text) => {
      const target = new Uint8Array(utf8Length(text));
      expect(writeUtf8(text, target, 0)).toBe(target.length);
      expect(target).toEqual(new TextEncoder().encode(text));
    }),
  );
});

it("decodes as TextDecoder does", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(readUtf8(new TextEncoder().encode(text))).toBe(text);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
      expect(readUtf8(bytes)).toBe(decoder.decode(bytes));
    }),
    { numRuns: 5000 },
  );
});
