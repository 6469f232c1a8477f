import { expect, test } from "vitest";
import { parseAb } from "./ab.ts";
import { median, result, table } from "./report.ts";

test("the median of an even number of rounds lies between the middle two", () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([3, 1, 2])).toBe(2);
});

test("a ratio is ours by theirs", () => {
  const fields = { name: "a", unit: "requests/s", better: "higher", peer: "b" } as const;
  expect(result({ ...fields, value: 30, peerValue: 20 }).ratio).toBe(1.5);
});

test("columns line up", () => {
  expect(
    table([
      ["", "a"],
      ["long", "1000"],
    ]),
  ).toBe("         a\nlong  1000");
});

test("ab's report is read, with what failed", () => {
  const report =
    "Complete requests:      100\nFailed requests:        2\nNon-2xx responses:      1\nRequests per second:    5177.12 [#/sec] (mean)\n";
  expect(parseAb(report)).toEqual({ requestsPerSecond: 5177.12, complete: 100, failed: 2, non2xx: 1 });
  expect(() => parseAb("apr_socket_recv: Connection refused (111)")).toThrow("no rate");
});
