import { expect, test } from "vitest";
import { ratios } from "./ratios.ts";
import { machineCell, OUTCOME, peerCell } from "./testing/outcome.ts";

test("ratios of this run, and whether they reach what they are to reach", () => {
  const found = Object.fromEntries(
    ratios(OUTCOME.cells, "default").map(({ what, ratio, reached }) => [what, [ratio, reached]]),
  );
  expect(found).toMatchObject({
    "64 B round trip: Node Unix socket / dedicated": [11, true],
    "64 B round trip: dedicated / C spin": [12, true],
    "64 B round trip p99.9: dedicated / C spin": [12, false],
    "64 KiB one way: dedicated / Node Unix socket": [6, true],
    "64 KiB one way: zero-copy / two-copy": [4, true],
  });
});

test("none without its figures", () => {
  expect(ratios([peerCell("c-spin", 64, "rtt", 1, 1)], "default")).toEqual([]);
  const alone = ratios(
    [machineCell("inline", "zero-copy", 64, "rtt", 3, 1), machineCell("inline", "two-copy", 64, "rtt", 2, 1)],
    "default",
  );
  expect(alone.map(({ ratio, reached }) => [ratio, reached])).toEqual([[1.5, false]]);
});

test("asleep is compared with asleep", () => {
  const cells = [machineCell("dedicated", "zero-copy", 64, "rtt", 60, 1), peerCell("c-futex", 64, "rtt", 50, 1)];
  const futex = (preset: "default" | "sleeping"): string[] =>
    ratios(cells, preset).flatMap(({ what }) => (what.includes("futex") ? [what] : []));
  expect(futex("default")).toEqual([]);
  expect(futex("sleeping")).toEqual(["64 B round trip, both asleep: dedicated / C futex"]);
});
