import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { plainTextCodec, textCodec } from "./utf8.ts";

const reference = {
  encode: (text: string): Uint8Array => new TextEncoder().encode(text),
  decode: (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
};

afterEach(() => vi.unstubAllGlobals());

describe("plainTextCodec", () => {
  it("encodes as Node does, lone surrogates included", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) }),
        (a, b) => {
          expect(plainTextCodec.encode(a + b)).toEqual(reference.encode(a + b));
        },
      ),
    );
  });

  it("decodes any bytes as Node does", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(plainTextCodec.decode(bytes)).toBe(reference.decode(bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  it("decodes near misses as Node does: cut, overlong, surrogate and too large sequences", () => {
    const lead = fc.constantFrom(0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff, 0x41);
    const follow = fc.constantFrom(0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0);
    fc.assert(
      fc.property(fc.array(fc.oneof(lead, follow), { maxLength: 12 }), (units) => {
        const bytes = Uint8Array.from(units);
        expect(plainTextCodec.decode(bytes)).toBe(reference.decode(bytes));
      }),
      { numRuns: 2_000 },
    );
  });

  it("decodes long texts, across its chunks", () => {
    const text = "aé€😀".repeat(5_000);
    expect(plainTextCodec.decode(plainTextCodec.encode(text))).toBe(text);
  });

  it("reads shared memory", () => {
    const shared = new Uint8Array(new SharedArrayBuffer(5));
    shared.set(plainTextCodec.encode("é€"));
    expect(plainTextCodec.decode(shared)).toBe("é€");
    expect(textCodec().decode(shared)).toBe("é€");
  });
});

describe("textCodec", () => {
  it("is ours where the engine has no Encoding API", () => {
    vi.stubGlobal("TextDecoder", undefined);
    expect(textCodec()).toBe(plainTextCodec);
  });

  it("keeps a byte order mark, as ours does", () => {
    const bytes = Uint8Array.of(0xef, 0xbb, 0xbf, 0x61);
    expect(textCodec().decode(bytes)).toBe("\ufeffa");
    expect(plainTextCodec.decode(bytes)).toBe("\ufeffa");
  });
});
