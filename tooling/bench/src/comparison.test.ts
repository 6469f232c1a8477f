import { afterEach, expect, test, vi } from "vitest";
import { type Contest, compete, printFigures } from "./comparison.ts";

afterEach(() => vi.restoreAllMocks());

function contest(name: string, ours: readonly number[], theirs?: readonly number[]): Contest {
  const [our, their] = [[...ours], theirs && [...theirs]];
  return {
    name,
    unit: "ns",
    better: "lower",
    ours: () => our.shift() ?? Number.NaN,
    theirs: their && (async () => their.shift() ?? Number.NaN),
  };
}

test("rounds that warm up do not count; ours and theirs take turns", async () => {
  const [figures] = await compete("test", [contest("a", [9, 1, 2, 3], [99, 10, 20, 30])], 3, 1);
  expect([figures?.ours, figures?.theirs]).toEqual([
    [1, 2, 3],
    [10, 20, 30],
  ]);
});

test("--json is one document; a peer that is absent is named, with no figures", async () => {
  const print = vi.spyOn(console, "log").mockImplementation(() => undefined);
  const contests = [contest("a", [1, 2, 3], [10, 20, 30]), contest("b", [5, 5, 5])];
  printFigures("title", "C", await compete("test", contests, 3, 0), true);
  expect(print).toHaveBeenCalledTimes(1);
  const { machine, results } = JSON.parse(String(print.mock.calls[0]?.[0]));
  expect(machine).toContain("Node");
  expect(results).toEqual([
    { name: "a", value: 2, unit: "ns", better: "lower", peer: "C", peerValue: 20, ratio: 0.1 },
    { name: "b", value: 5, unit: "ns", better: "lower", peer: "C: absent", peerValue: null, ratio: null },
  ]);
});
