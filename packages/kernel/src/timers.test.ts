import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TimerQueue } from "./timers.ts";

function create() {
  let time = 0;
  const errors: unknown[] = [];
  const timers = new TimerQueue({ now: () => time, onError: (error) => errors.push(error) });
  return { timers, errors, advance: (by: number) => (time += by) };
}

describe("TimerQueue", () => {
  it("agrees with a sorted list, whatever is set, cancelled and fired", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("set" as const), value: fc.integer({ min: -5, max: 50 }) }),
      fc.record({ do: fc.constant("cancel" as const), value: fc.nat(200) }),
      fc.record({ do: fc.constant("fire" as const), value: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { timers, advance } = create();
        let now = 0;
        let model: { id: number; due: number }[] = [];
        const handles: { cancel(): void }[] = [];
        const fired: number[] = [];
        for (const { do: action, value } of steps) {
          if (action === "set") {
            const id = handles.length;
            handles.push(timers.after(value, () => fired.push(id)));
            model.push({ id, due: now + Math.max(0, value) });
          } else if (action === "cancel") {
            handles[value]?.cancel();
            model = model.filter(({ id }) => id !== value);
          } else {
            now = advance(value);
            const due = model.filter((timer) => timer.due <= now).sort((a, b) => a.due - b.due || a.id - b.id);
            model = model.filter((timer) => timer.due > now);
            fired.length = 0;
            expect(timers.fire()).toBe(due.length > 0);
            expect(fired).toEqual(due.map(({ id }) => id));
          }
          expect(timers.pending).toBe(model.length);
          expect(timers.nextDue).toBe(Math.min(Number.POSITIVE_INFINITY, ...model.map((timer) => timer.due)));
        }
      }),
    );
  });

  it("a 0 ms timer that sets itself again does not hold up the round", () => {
    const { timers } = create();
    let fired = 0;
    const again = (): void => {
      fired++;
      timers.after(0, again);
    };
    again();
    timers.fire();
    expect(fired).toBe(2);
  });

  it("a callback may cancel one that is due in the same round", () => {
    const { timers } = create();
    const later = { cancel: () => {} };
    timers.after(0, () => later.cancel());
    later.cancel = (() => {
      const timer = timers.after(0, () => expect.unreachable());
      return () => timer.cancel();
    })();
    timers.fire();
    expect(timers.pending).toBe(0);
  });

  it("a callback that throws is reported and stops no other", () => {
    const { timers, errors } = create();
    let fired = 0;
    timers.after(0, () => {
      throw new Error("oops");
    });
    timers.after(0, () => fired++);
    timers.fire();
    expect([fired, errors.length]).toEqual([1, 1]);
  });

  it("never fires at Infinity, and refuses NaN", () => {
    const { timers } = create();
    timers.after(Number.POSITIVE_INFINITY, () => {}).cancel();
    expect(timers.nextDue).toBe(Number.POSITIVE_INFINITY);
    expect(() => timers.after(Number.NaN, () => {})).toThrow(RangeError);
  });

  it("says when a timer becomes the earliest", () => {
    let told = 0;
    const timers = new TimerQueue({ now: () => 0, onEarlier: () => told++ });
    timers.after(10, () => {});
    timers.after(20, () => {});
    timers.after(5, () => {});
    expect(told).toBe(2);
  });
});
