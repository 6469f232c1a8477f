import { expect, it } from "vitest";
import { CoreBoard } from "./core-board.ts";

it("shows the same to everyone who has the buffer", () => {
  const board = CoreBoard.create(3);
  const elsewhere = new CoreBoard(board.buffer);
  expect([elsewhere.cores, elsewhere.state(2)]).toEqual([3, "starting"]);
  board.setState(2, "running");
  expect([elsewhere.state(1), elsewhere.state(2)]).toEqual(["starting", "running"]);
  elsewhere.requestStop(1);
  expect([0, 1, 2].map((core) => board.stopRequested(core))).toEqual([false, true, false]);
});

it("wakes all cores with each change", () => {
  const board = CoreBoard.create(2);
  const counts = (): number[] => [0, 1].map((core) => board.bell(core).read());
  board.setState(0, "dead");
  expect([board.changes, ...counts()]).toEqual([1, 1, 1]);
  board.requestStop(1);
  expect([board.changes, ...counts()]).toEqual([2, 2, 2]);
});

it("a core that is gone stays gone: the exit of a thread that stopped in order is no death", () => {
  const board = CoreBoard.create(1);
  board.setState(0, "stopped");
  board.setState(0, "dead");
  board.setState(0, "running");
  expect([board.state(0), board.isGone(0)]).toEqual(["stopped", true]);
});

it("knows its cores", () => {
  expect(() => CoreBoard.create(0)).toThrow(RangeError);
  expect(() => CoreBoard.create(65)).toThrow(RangeError);
  expect(() => CoreBoard.create(2).state(2)).toThrow(/there is no core 2/);
});
