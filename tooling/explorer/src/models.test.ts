/** What the memory models allow: the classic litmus tests, on programs of a few accesses. */
import { describe, expect, test } from "vitest";
import { load } from "./load.ts";
import type { MemoryModel } from "./machine.ts";
import { expectThat, type Program, type World } from "./program.ts";
import { type RunResult, run } from "./run.ts";
import { formatTrace } from "./trace.ts";

const loaded = await load();

/** Each thread is a function on the words; what they return is checked by `allowed` when both have ended. */
function litmus(name: string, model: MemoryModel, threads: readonly ((world: World) => void)[]): RunResult {
  const program: Program = {
    name,
    bytes: 64,
    threads: threads.map((body, i) => ({ name: `t${i}`, start: (world) => () => body(world) })),
    nameOf: (at) => `word ${at / 4}`,
  };
  return run(loaded, program, { model });
}

const X = 0;
const Y = 1;
/** Where each thread leaves what it saw. */
const SEEN = 8;
const atomics = loaded.standIns.globals().get("Atomics") as typeof Atomics;

function verdict({ failure }: RunResult): string {
  return failure?.reason ?? "never";
}

describe("store buffering: each thread stores one word and loads the other", () => {
  const side =
    (own: number, other: number, thread: number, store: "plain" | "atomic", isLast: boolean) => (world: World) => {
      const { words } = world;
      if (store === "plain") words[own] = 1;
      else atomics.store(words, own, 1);
      const seen = atomics.load(words, other);
      atomics.store(words, SEEN + thread, seen + 1);
      if (!isLast) return;
      const first = atomics.load(words, SEEN);
      expectThat(!(first === 1 && seen === 0), "both saw 0");
    };
  const explore = (model: MemoryModel, store: "plain" | "atomic"): RunResult =>
    litmus("SB", model, [side(X, Y, 0, store, false), side(Y, X, 1, store, true)]);

  test.each(["tso", "pso"] as const)("%s: both may see 0 when the stores are plain", (model) => {
    expect(verdict(explore(model, "plain"))).toBe("t1: both saw 0");
  });
  test.each(["tso", "pso", "race-free"] as const)("%s: not when they are atomic", (model) => {
    expect(verdict(explore(model, "atomic"))).toBe("never");
  });
  test("race-free: plain stores race", () => {
    expect(verdict(explore("race-free", "plain"))).toMatch(/^data race on word 1/);
  });
});

describe("message passing: content, then a flag", () => {
  const explore = (model: MemoryModel, flag: "plain" | "atomic"): RunResult =>
    litmus("MP", model, [
      ({ words }) => {
        words[X] = 7;
        if (flag === "plain") words[Y] = 1;
        else atomics.store(words, Y, 1);
      },
      ({ words }) => {
        if (atomics.load(words, Y) === 1) expectThat(words[X] === 7, "the content is not there");
      },
    ]);

  test("tso: stores arrive in order", () => expect(verdict(explore("tso", "plain"))).toBe("never"));
  test("pso: a plain flag may overtake the content", () => {
    expect(verdict(explore("pso", "plain"))).toBe("t1: the content is not there");
  });
  test("race-free: a plain flag orders nothing", () =>
    expect(verdict(explore("race-free", "plain"))).toMatch(/data race/));
  test.each(["tso", "pso", "race-free"] as const)("%s: an atomic flag orders the content", (model) => {
    expect(verdict(explore(model, "atomic"))).toBe("never");
  });
});

describe("a thread's own stores", () => {
  test.each(["tso", "pso"] as const)("%s: it sees them at once, also bytes of a word", (model) => {
    const result = litmus("own", model, [
      (world) => {
        const bytes = new (loaded.standIns.globals().get("Uint8Array") as Uint8ArrayConstructor)(
          world.bytes.asBuffer(),
        );
        world.words[X] = 0x01020304;
        bytes[1] = 9;
        expectThat(world.words[X] === 0x01020904, `saw ${world.words[X]?.toString(16)}`);
        expectThat(atomics.load(world.words, X) === 0x01020904, "an atomic load saw something else");
      },
    ]);
    expect(verdict(result)).toBe("never");
  });
});

describe("waiting", () => {
  const waiter = ({ words }: World): void => {
    while (atomics.load(words, X) === 0) atomics.wait(words, X, 0);
  };
  test.each(["tso", "pso", "race-free"] as const)("%s: a store and a notification wake it", (model) => {
    const waker = ({ words }: World): void => {
      atomics.store(words, X, 1);
      atomics.notify(words, X);
    };
    expect(verdict(litmus("wait", model, [waiter, waker]))).toBe("never");
  });
  test.each(["tso", "pso", "race-free"] as const)("%s: a notification before the store is lost", (model) => {
    const waker = ({ words }: World): void => {
      atomics.notify(words, X);
      atomics.store(words, X, 1);
    };
    expect(verdict(litmus("wait", model, [waiter, waker]))).toBe("t0 sleeps for ever");
  });
  test.each(["tso", "pso", "race-free"] as const)("%s: a ring stays until somebody slept", (model) => {
    const both = [({ ring }: World) => ring(0), ({ sleep }: World) => sleep(0)];
    expect(verdict(litmus("bell", model, both))).toBe("never");
    expect(verdict(litmus("bell", model, [...both, ({ sleep }: World) => sleep(0)]))).toMatch(/sleeps for ever$/);
  });
});

test("a wake-up orders what was stored before it", () => {
  const result = litmus("wake", "race-free", [
    ({ words }) => {
      if (atomics.wait(words, Y, 0) === "ok") expectThat(words[X] === 7, "the content is not there");
    },
    ({ words }) => {
      words[X] = 7;
      if (atomics.notify(words, Y) > 0) return;
      atomics.store(words, Y, 1);
      atomics.notify(words, Y);
    },
  ]);
  expect(verdict(result)).toBe("never");
});

test("two threads count up: every atomic addition counts", () => {
  const counts = ({ words }: World): void => {
    const before = atomics.add(words, X, 1);
    expectThat(before < 2, "too many");
    if (before === 1) expectThat(atomics.load(words, X) === 2, "an addition got lost");
  };
  expect(verdict(litmus("add", "tso", [counts, counts]))).toBe("never");
});

test("a thread that does not do the same twice is refused", () => {
  let calls = 0;
  const unsteady = ({ words }: World): void => {
    atomics.load(words, calls++);
    atomics.load(words, X);
  };
  expect(() => litmus("unsteady", "tso", [unsteady])).toThrow("does not do the same");
});

test("a trace says who did what, in order, and the value", () => {
  const result = litmus("trace", "tso", [
    ({ words }) => {
      words[X] = 5;
      atomics.store(words, Y, 6);
    },
    ({ words }) => expectThat(atomics.load(words, Y) === 0, "it was stored"),
  ]);
  expect(result.failure && formatTrace(result.failure, ["one", "two"], (at) => `word ${at / 4}`).split("\n")).toEqual([
    `   one${" ".repeat(55)}two`,
    "1  store word 0 = 5 (into its buffer)",
    "2    word 0 = 5 reaches memory",
    "3  atomic store word 1 = 6",
    `4  ${" ".repeat(58)}atomic load word 1 -> 6`,
    "   => t1: it was stored",
  ]);
});
