import { expect, test } from "vitest";
import { processorTime, residentMemory } from "./process-cost.ts";
import { Samples } from "./rounds.ts";

test("samples are told apart by name, with their spread", () => {
  const samples = new Samples();
  for (const value of [3, 1, 2]) samples.add("a", value);
  samples.add("b", 9);
  expect(samples.of("a")).toEqual({ median: 2, least: 1, most: 3 });
  expect(samples.of("b").median).toBe(9);
});

test.runIf(process.platform === "linux")("a process has used time and memory, one that is not there has not", () => {
  expect(processorTime(process.pid)).toBeGreaterThan(0);
  expect(residentMemory(process.pid)).toBeGreaterThan(10);
  expect([processorTime(2 ** 30), residentMemory(2 ** 30)]).toEqual([Number.NaN, Number.NaN]);
});
