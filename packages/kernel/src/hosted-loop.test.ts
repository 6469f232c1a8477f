import { describe, expect, it, vi } from "vitest";
import type { Bell } from "./bell.ts";
import { Core } from "./core.ts";
import { type HostLoop, type RunningLoop, runHosted } from "./hosted-loop.ts";
import { ADAPTIVE_SPIN, NO_SPIN } from "./idle-policy.ts";
import type { PlainSystem } from "./thread-calls.ts";
import { WakeWord } from "./wake-word.ts";

/** Node's loop, as the inline machine binds it. */
const host: HostLoop = {
  turn: (callback) => void setImmediate(callback),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, Math.min(milliseconds, 2 ** 31 - 1));
    return { cancel: () => clearTimeout(timer) };
  },
};

function start(bell?: Bell, spin = NO_SPIN): { core: Core<PlainSystem>; loop: RunningLoop } {
  const core = new Core<PlainSystem>({
    id: 0,
    now: () => performance.now(),
    system: (threads) => ({ threads }),
    ...(bell === undefined ? {} : { bell }),
  });
  return { core, loop: runHosted(core, { host, spin }) };
}

const shared = (): Bell => new WakeWord(new Int32Array(new SharedArrayBuffer(8)));

describe.each([
  ["a local bell", () => start()],
  ["a wake word", () => start(shared(), ADAPTIVE_SPIN)],
])("runHosted with %s", (_name, create) => {
  it("runs threads and timers beside Node's own", async () => {
    const { core, loop } = create();
    const thread = core.spawn(async ({ threads }) => {
      for (let i = 0; i < 100; i++) await threads.yield();
      await threads.sleep(5);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await threads.sleep(1);
      return "done";
    });
    expect(await thread.ended).toEqual({ kind: "returned", value: "done" });
    loop.stop();
    await loop.ended;
  });

  it("sleeps when idle, and wakes for a thread, a timer and a ring", async () => {
    const { core, loop } = create();
    let work = 0;
    core.dedicate({ poll: () => work > 0 && work-- > 0, arm: () => work > 0 }, "device");
    await vi.waitFor(() => expect(core.stats.turns).toBeGreaterThan(0));
    const settled = async (): Promise<number> => {
      for (let turns = -1; turns !== core.stats.turns; await new Promise((resolve) => setTimeout(resolve, 10))) {
        turns = core.stats.turns;
      }
      return core.stats.turns;
    };
    const asleep = await settled();
    expect((await core.spawn(() => "ran").ended).kind).toBe("returned");
    const again = await settled();
    expect(again).toBeGreaterThan(asleep);
    await new Promise<void>((resolve) => void core.clock.after(3, resolve));
    work = 3;
    core.bell.ring();
    await vi.waitFor(() => expect(work).toBe(0));
    loop.stop();
    await loop.ended;
    expect(loop.idle.waits).toBeGreaterThan(0);
  });

  it("stops while it waits, and turns no more", async () => {
    const { core, loop } = create();
    await new Promise((resolve) => setTimeout(resolve, 5));
    loop.stop();
    await loop.ended;
    const { turns } = core.stats;
    core.bell.ring();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(core.stats.turns).toBe(turns);
  });
});

it("a busy core leaves Node's events their turn", async () => {
  const { core, loop } = start();
  let ticks = 0;
  const busy = core.spawn(async ({ threads }) => {
    while (ticks < 20) await threads.yield();
  });
  const interval = setInterval(() => ticks++, 1);
  await busy.ended;
  clearInterval(interval);
  loop.stop();
  expect(ticks).toBe(20);
});

it("regression: a thread that takes a few microtasks between two calls does not send the core to sleep", async () => {
  const { core, loop } = start();
  const thread = core.spawn(async ({ threads }) => {
    for (let i = 0; i < 200; i++) {
      for (let step = 0; step < 5; step++) await undefined;
      await threads.yield();
    }
  });
  await thread.ended;
  expect(loop.idle.waits).toBeLessThan(5);
  loop.stop();
});
