import { describe, expect, it } from "vitest";
import { Core } from "./core.ts";
import { type RunOutcome, runDeterministic, VirtualTime } from "./deterministic-loop.ts";
import type { PlainSystem } from "./thread-calls.ts";

const drained = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Producers and consumers with sleeps, timeouts and a cancel; the trace shows who did what when. */
async function run(seed: number): Promise<{ trace: string[]; outcome: RunOutcome }> {
  const time = new VirtualTime();
  const trace: string[] = [];
  const core = new Core<PlainSystem>({ id: 0, now: time.now, system: (threads) => ({ threads }), seed });
  const items: number[] = [];
  const arrived = core.createWaitQueue("take");
  const note = (text: string): void => void trace.push(`${time.now()} ${text}`);
  for (const name of ["a", "b", "c"]) {
    core.spawn(async ({ threads }) => {
      for (let i = 0; i < 5; i++) {
        await threads.sleep(10);
        items.push(i);
        note(`${name} made ${i}`);
        arrived.wakeOne();
        await threads.yield();
      }
    });
  }
  const consumers = ["x", "y"].map((name) =>
    core.spawn(async ({ threads }) => {
      for (;;) {
        while (items.length === 0) await threads.wait(arrived, { timeoutMs: 1_000 });
        note(`${name} took ${items.shift()}`);
        await threads.sleep(3);
      }
    }),
  );
  core.spawn(async ({ threads }) => {
    await threads.sleep(35);
    if (consumers[0] !== undefined) threads.cancel(consumers[0]);
    note("cancelled x");
  });
  return { outcome: await runDeterministic([core], { time, drained }), trace };
}

describe("runDeterministic", () => {
  it("replays a run exactly from its seed, and another seed gives another order", async () => {
    const first = await run(1);
    expect(first.outcome).toBe("idle");
    expect(first.trace.length).toBeGreaterThan(25);
    expect(await run(1)).toEqual(first);
    const others = await Promise.all([2, 3, 4, 5].map(run));
    expect(others.some(({ trace }) => trace.join() !== first.trace.join())).toBe(true);
  });

  it("takes hours of virtual time at once, and stops where it is told", async () => {
    const time = new VirtualTime();
    const core = new Core<PlainSystem>({ id: 0, now: time.now, system: (threads) => ({ threads }) });
    let hours = 0;
    core.spawn(async ({ threads }) => {
      for (;;) {
        await threads.sleep(3_600_000);
        hours++;
      }
    });
    expect(await runDeterministic([core], { time, drained, until: () => hours === 10 })).toBe("until");
    expect(await runDeterministic([core], { time, drained, deadline: 20.5 * 3_600_000 })).toBe("deadline");
    expect([hours, time.now()]).toEqual([20, 20.5 * 3_600_000]);
  });
});
