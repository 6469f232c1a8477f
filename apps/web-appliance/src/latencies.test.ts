import { expect, test } from "vitest";
import { Latencies } from "./latencies.ts";

test("percentiles are exact to the width of a bucket", () => {
  const latencies = new Latencies();
  for (let i = 1; i <= 1000; i++) latencies.add(i / 100);
  const { count, p50Ms, p99Ms, p999Ms } = latencies.summary();
  expect(count).toBe(1000);
  for (const [found, exact] of [
    [p50Ms, 5],
    [p99Ms, 9.9],
    [p999Ms, 9.99],
  ] as const) {
    expect(found / exact).toBeGreaterThanOrEqual(1);
    expect(found / exact).toBeLessThan(1.1);
  }
});

test("nothing measured is nothing, not NaN; what is too small or too large still counts", () => {
  const latencies = new Latencies();
  expect(latencies.summary()).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, p999Ms: 0 });
  latencies.add(0);
  latencies.add(1e12);
  expect(latencies.summary().count).toBe(2);
});
