import { expect, test } from "vitest";
import { formatTable } from "./table.ts";
import { OUTCOME } from "./testing/outcome.ts";
import { formatNumber, formatSize } from "./units.ts";

test.each([
  [0, "0"],
  [0.001, "<0.01"],
  [0.2345, "0.23"],
  [9.994, "9.99"],
  [12.34, "12.3"],
  [1234.5, "1235"],
])("%d reads as %s", (value, words) => {
  expect(formatNumber(value)).toBe(words);
});

test.each([
  [64, "64 B"],
  [4096, "4 KiB"],
  [5000, "5000 B"],
  [1_048_576, "1 MiB"],
])("%d bytes read as %s", (bytes, words) => {
  expect(formatSize(bytes)).toBe(words);
});

test("the table: read and unread, copies, ratios, what is missing", () => {
  const lines = formatTable(OUTCOME).split("\n");
  expect(lines).toContain("dedicated two-copy   4.00 / 12.0");
  expect(lines).toContain("dedicated zero-copy  12000 / 6000");
  expect(lines).toContain("c-spin               0.25 / 0.25");
  expect(lines.find((line) => line.startsWith("dedicated two-copy 64 B"))).toMatch(/ 216 +64\.0 +1\.00 +1\.01 +0\.10 /);
  expect(lines.find((line) => line.startsWith("64 B round trip: Node Unix socket"))).toMatch(/11\.00× .* reached$/);
  expect(lines).toContain("Missing: c-futex: there is no gcc to compile it with");
});

test("a partial outcome says so; cells without a round are a dash", () => {
  const none = { figures: [], counted: undefined };
  const cells = OUTCOME.cells.map((cell) => ({ ...cell, unread: none, read: none }));
  const text = formatTable({ ...OUTCOME, cells, completeness: "partial" });
  expect(text).toContain("PARTIAL");
  expect(text).toContain("- / -");
});
