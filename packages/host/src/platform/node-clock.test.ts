import { expect, test, vi } from "vitest";
import { nodeClock } from "./node-clock.ts";

test("time never goes back", () => {
  const clock = nodeClock();
  const first = clock.now();
  expect(clock.now()).toBeGreaterThanOrEqual(first);
});

test("a timer fires once, not early; a cancelled one never", () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const clock = nodeClock();
    const calls: string[] = [];
    clock.after(10.4, () => calls.push("fired"));
    const other = clock.after(5, () => calls.push("cancelled"));
    other.cancel();
    vi.advanceTimersByTime(10);
    expect(calls).toEqual([]);
    vi.advanceTimersByTime(20);
    other.cancel();
    expect(calls).toEqual(["fired"]);
  } finally {
    vi.useRealTimers();
  }
});
