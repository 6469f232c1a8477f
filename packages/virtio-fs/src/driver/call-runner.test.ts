import { CancelSource, type Clock, Errno } from "@toril/virtio/platform";
import { describe, expect, it } from "vitest";
import { CallRunner } from "./call-runner.ts";
import type { Cancellation } from "./cancellation.ts";

const clock: Clock = { now: () => 0, after: () => ({ cancel: () => {} }) };

function create() {
  const source = new CancelSource();
  const seen: (Cancellation | undefined)[] = [];
  const runner = new CallRunner(clock, source.signal);
  const call = (run: () => Promise<number>): Promise<number> =>
    runner.call("stat", "/a", {}, "at-once", (cancel) => {
      seen.push(cancel);
      return run();
    });
  return { source, seen, runner, call };
}

const never = (): Promise<number> => new Promise(() => {});

describe("CallRunner", () => {
  it("calls that only their thread's signal can end share one cancellation, also after it was of no use", async () => {
    const { call, seen } = create();
    expect([await call(async () => 1), await call(async () => 2)]).toEqual([1, 2]);
    expect(seen[0]).toBe(seen[1]);
    expect(seen[0]?.cancelled).toBe(false);
  });

  it("the thread's signal ends all calls that wait, whatever the device does, and all later ones at once", async () => {
    const { call, source, seen } = create();
    const waiting = [call(never), call(never)];
    source.cancel("enough");
    for (const one of [...waiting, call(never)]) {
      await expect(one).rejects.toMatchObject({ errno: Errno.ECANCELED, cause: "enough" });
    }
    expect(seen.length).toBe(2);
  });

  it("a call that has ended is not told of a later cancellation", async () => {
    const { call, source } = create();
    const results = [await call(async () => 7)];
    const failed = call(() => Promise.reject(new Error("a bug")));
    await expect(failed).rejects.toThrow("a bug");
    source.cancel("later");
    expect(results).toEqual([7]);
  });

  it("a call with a signal of its own has a cancellation of its own", async () => {
    const { call, runner, seen, source } = create();
    await call(async () => 1);
    const own = new CancelSource();
    const waiting = runner.call("stat", "/a", { signal: own.signal }, "at-once", (cancel) => {
      seen.push(cancel);
      return never();
    });
    own.cancel("mine");
    await expect(waiting).rejects.toMatchObject({ errno: Errno.ECANCELED, cause: "mine" });
    expect(seen[1]).not.toBe(seen[0]);
    expect(await call(async () => 3)).toBe(3);
    source.cancel();
  });
});
