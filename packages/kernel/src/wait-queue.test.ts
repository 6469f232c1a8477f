import { CancelSource } from "@toril/virtio/platform";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Resume } from "./run-queue.ts";
import { TimerQueue } from "./timers.ts";
import { WaitQueue } from "./wait-queue.ts";

function create() {
  let time = 0;
  const clock = new TimerQueue({ now: () => time });
  const schedule = (resume: Resume): void => resume();
  const queue = new WaitQueue({ clock, schedule, syscall: "take" });
  const advance = (by: number): void => {
    time += by;
    clock.fire();
  };
  return { queue, clock, advance };
}

describe("WaitQueue", () => {
  it("agrees with a list: each waiter ends once, by the first that comes, and wake-ups go in order", async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("wait" as const), value: fc.option(fc.nat(40), { nil: undefined }) }),
      fc.record({ do: fc.constant("wakeOne" as const), value: fc.constant(0) }),
      fc.record({ do: fc.constant("wakeAll" as const), value: fc.constant(0) }),
      fc.record({ do: fc.constant("cancel" as const), value: fc.nat(40) }),
      fc.record({ do: fc.constant("advance" as const), value: fc.nat(20) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { queue, advance } = create();
        const outcomes: string[] = [];
        const expected: string[] = [];
        let now = 0;
        let model: { id: number; due: number }[] = [];
        const sources: CancelSource[] = [];
        for (const { do: action, value } of steps) {
          if (action === "wait") {
            const id = sources.length;
            const source = new CancelSource();
            sources.push(source);
            const options = value === undefined ? {} : { timeoutMs: value };
            void queue.wait({ ...options, signal: source.signal }).then(
              () => outcomes.push(`${id} woken`),
              (error: { code: string }) => outcomes.push(`${id} ${error.code}`),
            );
            model.push({ id, due: value === undefined ? Number.POSITIVE_INFINITY : now + value });
          } else if (action === "wakeOne") {
            const first = model.shift();
            expect(queue.wakeOne()).toBe(first !== undefined);
            if (first !== undefined) expected.push(`${first.id} woken`);
          } else if (action === "wakeAll") {
            expect(queue.wakeAll()).toBe(model.length);
            expected.push(...model.map(({ id }) => `${id} woken`));
            model = [];
          } else if (action === "cancel") {
            sources[value]?.cancel();
            if (model.some(({ id }) => id === value)) expected.push(`${value} ECANCELED`);
            model = model.filter(({ id }) => id !== value);
          } else {
            now += value;
            advance(value);
            const late = model.filter(({ due }) => due <= now).sort((a, b) => a.due - b.due || a.id - b.id);
            expected.push(...late.map(({ id }) => `${id} ETIMEDOUT`));
            model = model.filter(({ due }) => due > now);
          }
          // Both outcomes are told through promises, which take a few microtasks.
          for (let i = 0; i < 4; i++) await undefined;
          expect(outcomes).toEqual(expected);
          expect(queue.length).toBe(model.length);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("a wait with an aborted signal ends at once and takes no place", async () => {
    const { queue } = create();
    const source = new CancelSource();
    source.cancel("over");
    await expect(queue.wait({ signal: source.signal })).rejects.toMatchObject({
      code: "ECANCELED",
      cause: "over",
      syscall: "take",
    });
    expect(queue.length).toBe(0);
  });

  it("leaves no timer and no listener behind", async () => {
    const { queue, clock } = create();
    const wait = queue.wait({ timeoutMs: 100 });
    queue.wakeOne();
    await wait;
    expect(clock.pending).toBe(0);
  });

  it("failAll ends all waits with what it is given", async () => {
    const { queue } = create();
    const waits = [queue.wait(), queue.wait()];
    expect(queue.failAll(new Error("gone"))).toBe(2);
    for (const wait of waits) await expect(wait).rejects.toThrow("gone");
  });
});
