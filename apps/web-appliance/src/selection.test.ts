import { expect, test } from "vitest";
import { type SelectionHeaders, select } from "./selection.ts";

const validators = { etag: '"a-1"', lastModified: "Sun, 06 Nov 1994 08:49:37 GMT", size: 1000 };
const older = "Sun, 06 Nov 1994 08:49:36 GMT";

const cases: [string, SelectionHeaders, object][] = [
  ["no condition: all of it", {}, { kind: "whole" }],
  ["§13.1.2 If-None-Match, same tag", { "if-none-match": '"x", "a-1"' }, { kind: "not-modified" }],
  ["§13.1.2 weak comparison", { "if-none-match": 'W/"a-1"' }, { kind: "not-modified" }],
  ["§13.1.2 star", { "if-none-match": "*" }, { kind: "not-modified" }],
  ["§13.1.2 other tag", { "if-none-match": '"b"' }, { kind: "whole" }],
  [
    "§13.1.3 If-Modified-Since is ignored beside If-None-Match",
    { "if-none-match": '"b"', "if-modified-since": validators.lastModified },
    { kind: "whole" },
  ],
  ["§13.1.3 same date", { "if-modified-since": validators.lastModified }, { kind: "not-modified" }],
  ["§13.1.3 older date", { "if-modified-since": older }, { kind: "whole" }],
  ["§13.1.3 bad date", { "if-modified-since": "yesterday" }, { kind: "whole" }],
  ["§13.1.1 If-Match, same", { "if-match": '"a-1"' }, { kind: "whole" }],
  ["§13.1.1 If-Match needs a strong tag", { "if-match": 'W/"a-1"' }, { kind: "precondition-failed" }],
  ["§13.1.4 If-Unmodified-Since, older", { "if-unmodified-since": older }, { kind: "precondition-failed" }],
  ["§14.1.2 first bytes", { range: "bytes=0-99" }, { kind: "part", start: 0, end: 99 }],
  ["§14.1.2 open end", { range: "bytes=900-" }, { kind: "part", start: 900, end: 999 }],
  ["§14.1.2 suffix", { range: "bytes=-10" }, { kind: "part", start: 990, end: 999 }],
  ["§14.1.2 suffix longer than the file", { range: "bytes=-5000" }, { kind: "part", start: 0, end: 999 }],
  ["§14.1.2 end beyond the file", { range: "bytes=990-5000" }, { kind: "part", start: 990, end: 999 }],
  ["§15.5.17 nothing of it", { range: "bytes=1000-" }, { kind: "unsatisfiable" }],
  ["§14.2 another unit is ignored", { range: "lines=1-2" }, { kind: "whole" }],
  ["§14.2 malformed is ignored", { range: "bytes" }, { kind: "whole" }],
  ["§14.2 end before start is malformed", { range: "bytes=5-4" }, { kind: "whole" }],
  ["§14.1.2 a suffix of nothing", { range: "bytes=-0" }, { kind: "unsatisfiable" }],
  ["one of two is there", { range: "bytes=5000-,0-1" }, { kind: "part", start: 0, end: 1 }],
  ["§14.2 several ranges: all of it", { range: "bytes=0-1,500-600" }, { kind: "whole" }],
  ["adjacent ranges are one", { range: "bytes=0-1,2-5" }, { kind: "part", start: 0, end: 5 }],
  ["§13.1.5 If-Range, same tag", { range: "bytes=0-0", "if-range": '"a-1"' }, { kind: "part", start: 0, end: 0 }],
  ["§13.1.5 If-Range, weak tag", { range: "bytes=0-0", "if-range": 'W/"a-1"' }, { kind: "whole" }],
  ["§13.1.5 If-Range, other tag", { range: "bytes=0-0", "if-range": '"b"' }, { kind: "whole" }],
  [
    "§13.1.5 If-Range, exact date",
    { range: "bytes=0-0", "if-range": validators.lastModified },
    { kind: "part", start: 0, end: 0 },
  ],
  ["§13.1.5 If-Range, other date", { range: "bytes=0-0", "if-range": older }, { kind: "whole" }],
];

test.each(cases)("RFC 9110 %s", (_, headers, expected) => {
  expect(select(headers, validators)).toEqual(expected);
});

test("RFC 9110 §14.1.2: no byte of an empty file can be asked for", () => {
  expect(select({ range: "bytes=0-" }, { ...validators, size: 0 })).toEqual({ kind: "unsatisfiable" });
  expect(select({ range: "bytes=-5" }, { ...validators, size: 0 })).toEqual({ kind: "unsatisfiable" });
});
