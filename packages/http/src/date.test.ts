import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DateCache, formatHttpDate, parseHttpDate } from "./date.ts";

describe("RFC 9110 §5.6.7 IMF-fixdate", () => {
  it("golden", () => {
    const time = Date.UTC(1994, 10, 6, 8, 49, 37);
    expect(formatHttpDate(time + 999)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
    expect(parseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT")).toBe(time);
  });

  it("there and back, and as the engine writes it", () => {
    const latest = Date.UTC(9999, 11, 31, 23, 59, 59);
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(1900), max: latest }), (time) => {
        const second = Math.floor(time / 1000) * 1000;
        expect(formatHttpDate(second)).toBe(new Date(second).toUTCString());
        expect(parseHttpDate(formatHttpDate(second))).toBe(second);
      }),
    );
  });

  it.each([
    "",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 24:49:37 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 29 Feb 1995 08:49:37 GMT",
    "Sun, 06 Foo 1994 08:49:37 GMT",
    " Sun, 06 Nov 1994 08:49:37 GMT",
  ])("%j is no date", (text) => expect(parseHttpDate(text)).toBeUndefined());

  it("a date that HTTP cannot write throws", () => {
    expect(() => formatHttpDate(Number.NaN)).toThrow(RangeError);
    expect(() => formatHttpDate(Date.UTC(10_000, 0))).toThrow(RangeError);
  });

  it("the cache makes a new text once a second", () => {
    let now = 1000;
    const cache = new DateCache(() => now);
    const first = cache.now();
    now = 1999;
    expect(cache.now()).toBe(first);
    now = 2000;
    expect(cache.now()).toBe("Thu, 01 Jan 1970 00:00:02 GMT");
  });
});
