import { expect, it } from "vitest";
import { VirtualClock } from "./virtual-clock.ts";

it("fires in order of time, then of setting, each at its own time", () => {
  const clock = new VirtualClock(100);
  const fired: [string, number][] = [];
  const note = (name: string) => (): void => void fired.push([name, clock.now()]);
  clock.after(20, note("late"));
  clock.after(10, () => {
    note("first")();
    clock.after(5, note("nested"));
  });
  clock.after(10, note("second"));
  clock.after(12, note("cancelled")).cancel();
  expect(clock.nextDue).toBe(110);
  clock.advance(50);
  expect(fired).toEqual([
    ["first", 110],
    ["second", 110],
    ["nested", 115],
    ["late", 120],
  ]);
  expect(clock.now()).toBe(150);
  expect(clock.advanceToNext()).toBe(false);
});
