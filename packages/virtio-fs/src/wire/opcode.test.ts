import { expect, test } from "vitest";
import { isOpcode, Opcode, opcodeName } from "./opcode.ts";

test("FUSE 7.38: enum fuse_opcode has these numbers", () => {
  expect([Opcode.Lookup, Opcode.Init, Opcode.Destroy, Opcode.Readdirplus, Opcode.Tmpfile]).toEqual([1, 26, 38, 44, 51]);
});

test("an opcode that nobody knows is none, and has a name for the log", () => {
  expect([0, 7, 19, 52, 4096].map(isOpcode)).toEqual([false, false, false, false, false]);
  expect([opcodeName(44), opcodeName(4096)]).toEqual(["READDIRPLUS", "opcode 4096"]);
});
