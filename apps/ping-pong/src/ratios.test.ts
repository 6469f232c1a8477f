import { expect, test } from "vitest";
import { ratios } from "./ratios.ts";
import { machineCell, OUTCOME, peerCell } from "./testing/outcome.ts";

test("ratios of this run, and whether they reach what they are to reach", () => {
  const found = Object.fromEntries(ratios(OUTCOME.cells).map(({ what, ratio, reached }) => [what, [ratio, reached]]));
  expect(found).toMatchObject({
    "64 B round trip: Node Unix socket / dedicated": [11, true],
    "64 B round trip: dedicated / C spin": [12, true],
    "64 B round trip p99.9: dedicated / C spin": [12, false],
    "64 KiB one way: dedicated / Node Unix socket": [6, true],
    "64 KiB one way: zero-copy / two-copy": [4, true],
  });
});

test("none without its figures", () => {
  expect(ratios([peerCell("c-spin", 64, "rtt", 1, 1)])).toEqual([]);
  const alone = ratios([
    machineCell("inline", "zero-copy", 64, "rtt", 3, 1),
    machineCell("inline", "two-copy", 64, "rtt", 2, 1),
  ]);
  expect(alone.map(({ ratio, reached }) => [ratio, reached])).toEqual([[1.5, false]]);
});
