import { describe, expect, test } from "vitest";
import { latencies, median, percentile, spread } from "./statistics.ts";

describe("percentile", () => {
  test.each([
    [0.5, 5],
    [0.9, 9],
    [0.91, 10],
    [0.999, 10],
    [0.01, 1],
  ])("of 1 to 10, %d is %d: the nearest rank", (share, value) => {
    expect(percentile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], share)).toBe(value);
  });

  test("of one value it is that", () => {
    expect(percentile([7], 0.999)).toBe(7);
  });
});

test("median: the middle one, or between the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test("spread", () => {
  expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
});

test("latencies sorts by value, not by text", () => {
  const samples = Float64Array.from({ length: 1_000 }, (_, i) => 1_000 - i);
  expect(latencies(samples)).toEqual({ p50: 500, p99: 990, p999: 999 });
});
