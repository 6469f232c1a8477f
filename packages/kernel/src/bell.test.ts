import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type Bell, LocalBell } from "./bell.ts";
import { WakeWord } from "./wake-word.ts";

const shared = (): Int32Array => new Int32Array(new SharedArrayBuffer(8));
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

describe.each<[string, () => Bell]>([
  ["LocalBell", () => new LocalBell()],
  ["WakeWord", () => new WakeWord(shared())],
])("%s", (_name, create) => {
  it("counts, and calls back once for the first ring after the count that was read", async () => {
    const bell = create();
    const count = bell.read();
    let calls = 0;
    bell.onRing(count, () => calls++);
    await pause();
    expect(calls).toBe(0);
    bell.ring();
    expect(calls).toBe(0); // never from within the ring
    bell.ring();
    await pause();
    expect(calls).toBe(1);
    expect(bell.read()).toBe(count + 2);
  });

  it("calls back for a ring that came before the wait began", async () => {
    const bell = create();
    const count = bell.read();
    bell.ring();
    let calls = 0;
    bell.onRing(count, () => calls++);
    expect(calls).toBe(0);
    await pause();
    expect(calls).toBe(1);
  });

  it("a wait that was given up calls nobody; the next one works", async () => {
    const bell = create();
    let wrong = 0;
    let right = 0;
    for (let i = 0; i < 5; i++) bell.onRing(bell.read(), () => wrong++).cancel();
    bell.onRing(bell.read(), () => right++);
    await pause();
    bell.ring();
    await pause();
    expect([wrong, right]).toEqual([0, 1]);
    bell.onRing(bell.read(), () => right++);
    await pause();
    expect(right).toBe(1);
    bell.ring();
    await pause();
    expect(right).toBe(2);
  });
});

describe("WakeWord rung by the thread that waits on it", () => {
  const WAITERS = 1;

  it("calls as soon as microtasks run, and lets nobody notify for nothing", async () => {
    const words = shared();
    const bell = new WakeWord(words);
    let calls = 0;
    bell.onRing(bell.read(), () => calls++);
    expect(words[WAITERS]).toBe(1);
    bell.ring();
    expect([calls, words[WAITERS]]).toEqual([0, 0]);
    await Promise.resolve();
    expect(calls).toBe(1);
    await pause();
    expect(calls).toBe(1);
  });

  it("the next wait ends with a ring of another thread, all the same", async () => {
    const words = shared();
    const own = new WakeWord(words);
    const others = new WakeWord(words);
    for (let i = 0; i < 5; i++) {
      let calls = 0;
      own.onRing(own.read(), () => calls++);
      own.ring();
      await Promise.resolve();
      own.onRing(own.read(), () => calls++);
      expect(words[WAITERS]).toBe(1);
      others.ring();
      await pause();
      expect([calls, words[WAITERS]]).toEqual([2, 0]);
    }
  });

  it("a ring before the next wait is not lost, though an old one still stands", async () => {
    const words = shared();
    const own = new WakeWord(words);
    own.onRing(own.read(), () => {});
    own.ring();
    const count = own.read();
    new WakeWord(words).ring();
    let calls = 0;
    own.onRing(count, () => calls++);
    expect(calls).toBe(0);
    await Promise.resolve();
    expect([calls, words[WAITERS]]).toEqual([1, 0]);
  });

  it("a wait that is given up is no waiter any more", () => {
    const words = shared();
    const bell = new WakeWord(words);
    bell.onRing(bell.read(), () => {}).cancel();
    expect(words[WAITERS]).toBe(0);
  });
});

describe("WakeWord between threads", () => {
  it("blocks until it is rung, or until the time is over", () => {
    const words = shared();
    const bell = new WakeWord(words);
    expect(bell.wait(bell.read(), 5)).toBe("timed-out");
    const code = `
      const { workerData: words } = require("node:worker_threads");
      while (Atomics.load(words, 1) === 0) {} // until the other thread has announced that it waits
      Atomics.add(words, 0, 1);
      Atomics.notify(words, 0);
    `;
    const worker = new Worker(code, { eval: true, workerData: words, execArgv: [] });
    expect(bell.wait(bell.read())).toBe("rung");
    expect(Atomics.load(words, 1)).toBe(0);
    return worker.terminate();
  });

  it("does not wait when the count has moved on", () => {
    const bell = new WakeWord(shared());
    const count = bell.read();
    bell.ring();
    expect(bell.wait(count)).toBe("rung");
  });

  it("keeps its place among other words", () => {
    const words = new Int32Array(new SharedArrayBuffer(64));
    new WakeWord(words, 4).ring();
    expect([...words.subarray(0, 8)]).toEqual([0, 0, 0, 0, 1, 0, 0, 0]);
  });

  it("wants shared memory", () => {
    expect(() => new WakeWord(new Int32Array(2))).toThrow(TypeError);
  });
});
