import { Errno, type Log, type Pollable, SystemError, silentLog } from "@toril/virtio/platform";
import { describe, expect, it, vi } from "vitest";
import { Core, type CoreOptions, type ThreadFailure } from "./core.ts";
import type { PlainSystem, ThreadCalls } from "./thread-calls.ts";

type Threads = ThreadCalls<PlainSystem>;

/** A core whose time stands still until a test moves it; `run` turns it until nothing is left to do. */
function create(options: Partial<CoreOptions<PlainSystem>> = {}) {
  let time = 0;
  const core = new Core<PlainSystem>({ id: 0, now: () => time, system: (threads) => ({ threads }), ...options });
  const run = async (): Promise<void> => {
    do await new Promise((resolve) => setImmediate(resolve));
    while (core.turn() || core.arm());
  };
  const advance = async (by: number): Promise<void> => {
    time += by;
    await run();
  };
  return { core, run, advance };
}

describe("threads", () => {
  it("start in a later turn, take turns, and can be joined", async () => {
    const { core, run } = create();
    const trace: string[] = [];
    const worker =
      (name: string) =>
      async ({ threads }: PlainSystem): Promise<string> => {
        for (let i = 0; i < 3; i++) {
          trace.push(`${name}${i}`);
          await threads.yield();
        }
        return name;
      };
    const boss = core.spawn(async ({ threads }) => {
      const a = threads.spawn(worker("a"));
      const b = threads.spawn(worker("b"));
      trace.push("spawned");
      return [await threads.join(b), await threads.join(a)];
    });
    expect(trace).toEqual([]);
    await run();
    expect(trace).toEqual(["spawned", "a0", "b0", "a1", "b1", "a2", "b2"]);
    expect(boss.exit).toEqual({
      kind: "returned",
      value: [
        { kind: "returned", value: "b" },
        { kind: "returned", value: "a" },
      ],
    });
    expect(core.threads).toEqual([]);
  });

  it("one thread's exception is reported, and kills no other", async () => {
    const error = vi.fn();
    const log: Log = { ...silentLog, error };
    const failures: ThreadFailure[] = [];
    const { core, run } = create({
      log,
      onThreadFailure: (failure) => {
        failures.push(failure);
        throw new Error("and the observer fails, too");
      },
    });
    const bad = core.spawn(
      async ({ threads }) => {
        await threads.yield();
        throw new Error("broken");
      },
      { name: "bad" },
    );
    const odd = core.spawn(() => {
      throw "no error object";
    });
    const good = core.spawn(async ({ threads }) => {
      for (let i = 0; i < 5; i++) await threads.yield();
      return 42;
    });
    await run();
    expect(bad.exit).toMatchObject({ kind: "failed", error: { message: "broken" } });
    expect(odd.exit).toMatchObject({ kind: "failed", error: { message: "no error object" } });
    expect(good.exit).toEqual({ kind: "returned", value: 42 });
    expect(failures.map(({ name }) => name)).toEqual(["thread 2", "bad"]);
    expect(error.mock.calls[1]?.[1]).toMatchObject({ core: 0, reason: "Error: and the observer fails, too" });
    expect(core.stats).toMatchObject({ threadsStarted: 3, threadsFailed: 2, threads: 0 });
  });

  it("sleep for their time, not less", async () => {
    const { core, run, advance } = create();
    let woke = -1;
    core.spawn(async ({ threads }) => {
      await threads.sleep(100);
      woke = threads.now();
    });
    await run();
    expect(core.untilDeadline).toBe(100);
    await advance(99);
    expect(woke).toBe(-1);
    await advance(1);
    expect(woke).toBe(100);
  });

  it("cancel ends the present wait and every later one; the thread may clean up", async () => {
    const { core, run } = create();
    const steps: string[] = [];
    const victim = core.spawn(async ({ threads }) => {
      try {
        await threads.sleep(1_000_000);
      } catch (error) {
        steps.push((error as SystemError).code);
      }
      await threads.yield().catch((error: SystemError) => steps.push(`yield ${error.code} ${String(error.cause)}`));
      expect(() => threads.spawn(() => 1)).toThrow(SystemError);
      threads.checkCancelled();
    });
    await run();
    victim.cancel("enough");
    await run();
    expect(steps).toEqual(["ECANCELED", "yield ECANCELED enough"]);
    expect(victim.exit).toEqual({ kind: "cancelled", reason: "enough" });
    expect(core.untilDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it("cancel before the first turn: main never runs", async () => {
    const { core, run } = create();
    const main = vi.fn();
    core.spawn(main).cancel();
    await run();
    expect(main).not.toHaveBeenCalled();
  });

  it("another error after a cancel is a failure; returning after one is a return", async () => {
    const { core, run } = create();
    const failing = core.spawn(async ({ threads }) => {
      await threads.sleep(10).catch(() => {
        throw new Error("clean-up failed");
      });
    });
    const stubborn = core.spawn(async ({ threads }) => {
      await threads.sleep(10).catch(() => {});
      return "done";
    });
    await run();
    core.cancelAll("stop");
    await run();
    expect(failing.exit).toMatchObject({ kind: "failed", error: { message: "clean-up failed" } });
    expect(stubborn.exit).toEqual({ kind: "returned", value: "done" });
  });

  it("a wait that nobody looks at may be cancelled: no unhandled rejection", async () => {
    const { core, run } = create();
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const victim = core.spawn(async ({ threads }) => {
      void threads.sleep(1_000);
      await threads.sleep(1_000);
    });
    await run();
    victim.cancel();
    await run();
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it("join: times out, refuses itself, and answers at once for one that has ended", async () => {
    const { core, run, advance } = create();
    const codes: string[] = [];
    const note = (error: SystemError): void => void codes.push(error.code);
    const sleeper = core.spawn(({ threads }) => threads.sleep(1_000));
    const ended = core.spawn(() => 7);
    const joiner = core.spawn(async ({ threads }) => {
      await threads.join(sleeper, { timeoutMs: 10 }).catch(note);
      await threads.join(joiner).catch(note);
      return threads.join(ended);
    });
    await run();
    await advance(10);
    expect(codes).toEqual(["ETIMEDOUT", "EDEADLK"]);
    expect(joiner.exit).toEqual({ kind: "returned", value: { kind: "returned", value: 7 } });
  });

  it("wait queues wake threads, and forget those that were cancelled", async () => {
    const { core, run } = create();
    const queue = core.createWaitQueue();
    const woken: string[] = [];
    const waiter =
      (name: string) =>
      async ({ threads }: PlainSystem) => {
        await threads.wait(queue);
        woken.push(name);
      };
    const [first] = ["a", "b", "c"].map((name) => core.spawn(waiter(name)));
    await run();
    first?.cancel();
    queue.wakeOne();
    await run();
    expect(woken).toEqual(["b"]);
  });

  it("are accounted for", async () => {
    const { core, run, advance } = create();
    let seen: Threads | undefined;
    core.spawn(
      async ({ threads }) => {
        seen = threads;
        await threads.yield();
        await threads.sleep(5);
        await threads.sleep(5);
      },
      { name: "busy" },
    );
    await run();
    expect(core.threads).toMatchObject([{ id: 1, name: "busy", waitingIn: "sleep" }]);
    await advance(5);
    await advance(5);
    expect(seen?.account).toEqual({ turns: 4, waits: 3, startedAt: 0 });
  });

  it("spawnOn without a bus is ENODEV", async () => {
    const { core, run } = create();
    const thread = core.spawn(({ threads }) => threads.spawnOn(1, { module: "x" }));
    await run();
    expect(thread.exit).toMatchObject({ kind: "failed", error: { errno: Errno.ENODEV } });
  });
});

describe("dedicated devices", () => {
  const device = (work: number): Pollable & { polls: number } => ({
    polls: 0,
    poll() {
      this.polls++;
      return work-- > 0;
    },
    arm: () => false,
  });

  it("are polled in turn, and belong to one core", async () => {
    const { core, run } = create();
    const other = create().core;
    const [a, b] = [device(3), device(1)];
    core.dedicate(a, "a");
    const release = core.dedicate(b, "b");
    expect(() => other.dedicate(a, "a")).toThrow(/one core/);
    await run();
    expect(core.stats.devices).toMatchObject([
      { name: "a", busyPolls: 3 },
      { name: "b", busyPolls: 1 },
    ]);
    release();
    other.dedicate(b, "b");
    expect(other.stats.devices).toMatchObject([{ name: "b" }]);
  });

  it("one that throws is reported and taken out; the others go on", async () => {
    const error = vi.fn();
    const { core, run } = create({ log: { ...silentLog, error } });
    const good = device(2);
    const bad: Pollable = {
      poll: () => {
        throw new Error("a bug");
      },
      arm: () => false,
    };
    core.dedicate(bad, "bad");
    core.dedicate(good, "good");
    await run();
    expect(core.stats.devices).toMatchObject([{ name: "good", busyPolls: 2 }]);
    expect(error).toHaveBeenCalledTimes(1);
  });

  it("a ring between a turn and the arming is not lost", () => {
    const { core } = create();
    core.turn();
    expect(core.arm()).toBe(false);
    core.bell.ring();
    expect(core.arm()).toBe(true);
  });

  it("arming finds work: the core does not wait", () => {
    const { core } = create();
    core.dedicate({ poll: () => false, arm: () => true }, "busy");
    core.turn();
    expect(core.arm()).toBe(true);
  });

  it("all are armed, also after one has found work", () => {
    const { core } = create();
    const arm = vi.fn(() => true);
    core.dedicate({ poll: () => false, arm }, "a");
    core.dedicate({ poll: () => false, arm: () => false }, "b");
    const arm2 = vi.fn(() => false);
    core.dedicate({ poll: () => false, arm: arm2 }, "c");
    core.turn();
    core.arm();
    expect(arm2).toHaveBeenCalledTimes(1);
  });
});
