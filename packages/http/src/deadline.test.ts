import { VirtualClock } from "@toril/virtio/testing";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Deadline, type Phase } from "./deadline.ts";

it("expires once, at its time, with what was waited for", () => {
  const clock = new VirtualClock();
  const expired: [Phase, number][] = [];
  const deadline = new Deadline(clock, (phase) => expired.push([phase, clock.now()]));
  deadline.set("idle", 100);
  clock.advance(50);
  deadline.set("head", 100);
  clock.advance(99);
  expect(expired).toEqual([]);
  clock.advance(1000);
  expect(expired).toEqual([["head", 150]]);
  expect([deadline.phase, clock.pending]).toEqual(["none", 0]);
});

it("a deadline that moves back keeps its timer: many requests set few", () => {
  const clock = new VirtualClock();
  let timers = 0;
  const counting = {
    now: () => clock.now(),
    after: (delay: number, callback: () => void) => {
      timers++;
      return clock.after(delay, callback);
    },
  };
  const deadline = new Deadline(counting, () => {});
  for (let request = 0; request < 1000; request++) {
    deadline.set("idle", 1000);
    clock.advance(1);
    deadline.clear();
  }
  expect(timers).toBeLessThan(5);
  deadline.stop();
  expect(clock.pending).toBe(0);
});

it("model: for any steps it expires when a plain timer would", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), ms: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 0, max: 30 }) }),
    fc.record({ kind: fc.constant("clear" as const), ms: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const clock = new VirtualClock();
      const expired: number[] = [];
      const expected: number[] = [];
      const deadline = new Deadline(clock, () => expired.push(clock.now()));
      let timer: { cancel(): void } | undefined;
      for (const { kind, ms } of steps) {
        if (kind === "advance") {
          clock.advance(ms);
          continue;
        }
        timer?.cancel();
        if (kind === "clear") deadline.clear();
        else {
          deadline.set("idle", ms);
          timer = clock.after(ms, () => expected.push(clock.now()));
        }
      }
      clock.advance(1000);
      expect(expired).toEqual(expected);
    }),
  );
});
