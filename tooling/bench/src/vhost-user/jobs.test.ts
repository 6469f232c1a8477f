import { expect, test } from "vitest";
import { measure, parseJob } from "./jobs.ts";

test("jobs are read as the C front-end reads them", () => {
  expect(parseJob("getattr 100 32 any")).toEqual({ kind: "getattr", count: 100, depth: 32, bytes: 0 });
  expect(parseJob("read 10 1048576 4 any")).toEqual({ kind: "read", count: 10, depth: 4, bytes: 1_048_576 });
  expect(() => parseJob("pread 1 1")).toThrow("no such job");
});

test("a job is done as often as it says, never more at a time", async () => {
  let done = 0;
  let atOnce = 0;
  let most = 0;
  const answer = await measure(parseJob("getattr 50 4 any"), async () => {
    most = Math.max(most, ++atOnce);
    await Promise.resolve();
    atOnce--;
    done++;
  });
  expect([done, most]).toEqual([50, 4]);
  expect(answer.p50).toBeLessThanOrEqual(answer.p99);
});
