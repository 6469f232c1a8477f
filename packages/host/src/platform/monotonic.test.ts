import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { monotonicNow } from "./monotonic.ts";

test("never goes back, and runs as fast as performance.now()", () => {
  const now = monotonicNow();
  const [since, at] = [performance.now(), now()];
  let last = at;
  for (let i = 0; i < 10_000; i++) {
    const next = now();
    expect(next).toBeGreaterThanOrEqual(last);
    last = next;
  }
  expect(Math.abs(last - at - (performance.now() - since))).toBeLessThan(5);
});

test("what another thread reads lies between two readings here", async () => {
  const now = monotonicNow();
  const worker = new Worker(new URL("../testing/monotonic-thread.ts", import.meta.url));
  const message = (): Promise<unknown> => new Promise((resolve) => worker.once("message", resolve));
  await message();
  for (let i = 0; i < 20; i++) {
    const before = now();
    worker.postMessage("");
    const there = await message();
    // A hundredth of a millisecond for the two origins, each found by readings that something may have come between.
    expect(there).toBeGreaterThan(before - 0.01);
    expect(there).toBeLessThan(now() + 0.01);
  }
  await worker.terminate();
});
