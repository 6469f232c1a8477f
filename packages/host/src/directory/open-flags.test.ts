import { constants } from "node:fs";
import { expect, test } from "vitest";
import { hostOpenFlags, wouldWrite } from "./open-flags.ts";

/** As Node has them on macOS. */
const MACOS = { O_WRONLY: 1, O_RDWR: 2, O_TRUNC: 0x400, O_APPEND: 0x8, O_DSYNC: 0x400000, O_SYNC: 0x80 };
/** As Node has them on Windows: there is no O_SYNC. */
const WINDOWS = { O_WRONLY: 1, O_RDWR: 2, O_TRUNC: 0x200, O_APPEND: 0x8 };

test("Linux' flags become the host's; those that are not ours to pass on are dropped", () => {
  const creating = 0o100 | 0o200 | 0o400 | 0o40000 | 0o400000;
  expect(hostOpenFlags(0)).toBe(constants.O_RDONLY);
  expect(hostOpenFlags(creating | 0o2001)).toBe(constants.O_WRONLY | constants.O_APPEND);
  expect(hostOpenFlags(0o4011002)).toBe(constants.O_RDWR | constants.O_TRUNC | constants.O_SYNC);
  expect(hostOpenFlags(0o10001)).toBe(constants.O_WRONLY | constants.O_DSYNC);
  expect(hostOpenFlags(creating | 0o2001, MACOS)).toBe(0x9);
  expect(hostOpenFlags(0o4011002, MACOS)).toBe(0x482);
  expect(hostOpenFlags(0o10001, MACOS)).toBe(0x400001);
  expect(hostOpenFlags(0o10001, { ...MACOS, O_DSYNC: undefined })).toBe(0x81);
  expect(hostOpenFlags(0o4013002, WINDOWS)).toBe(0x20a);
});

test("O_TRUNC writes, even with O_RDONLY", () => {
  expect([0, 1, 2, 0o1000, 0o2000].map(wouldWrite)).toEqual([false, true, true, true, false]);
});
