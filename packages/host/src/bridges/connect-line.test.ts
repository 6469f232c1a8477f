import { expect, test } from "vitest";
import { MAX_LINE, readConnectLine, readOkLine } from "./connect-line.ts";

const read = (text: string) => readConnectLine(Buffer.from(text, "latin1"));

test("a line in any pieces: what follows it is kept", () => {
  const whole = "CONNECT 8080\nhello";
  for (let cut = 0; cut < 13; cut++) expect(read(whole.slice(0, cut))).toEqual({ kind: "incomplete" });
  expect(read(whole)).toEqual({ kind: "connect", port: 8080, rest: Buffer.from("hello") });
  expect(read("connect 1\r\n")).toMatchObject({ kind: "connect", port: 1 });
});

test("ports are 0 to 2^32 - 2", () => {
  expect(read("CONNECT 4294967294\n")).toMatchObject({ port: 4_294_967_294 });
  for (const bad of ["4294967295", "99999999999", "-1", "1.5", "0x10", "", " 1"]) {
    expect(read(`CONNECT ${bad}\n`).kind).toBe("bad");
  }
});

test("anything else is refused, and no line is longer than its bound", () => {
  for (const bad of ["\n", "GET / HTTP/1.1\n", "CONNECT\n", "CONNECT 1 2\n"]) expect(read(bad).kind).toBe("bad");
  expect(read("x".repeat(MAX_LINE)).kind).toBe("bad");
  expect(read(`${"x".repeat(MAX_LINE)}\n`).kind).toBe("bad");
});

test("the answer: OK and a port, in any pieces", () => {
  const answer = (text: string) => readOkLine(Buffer.from(text, "latin1"));
  const whole = "OK 1024\nhello";
  for (let cut = 0; cut < 8; cut++) expect(answer(whole.slice(0, cut))).toEqual({ kind: "incomplete" });
  expect(answer(whole)).toEqual({ kind: "ok", rest: Buffer.from("hello") });
  for (const bad of ["\n", "OK\n", "OK x\n", "ok 1\n", "OK 1 2\n", "x".repeat(MAX_LINE)]) {
    expect(answer(bad).kind).toBe("bad");
  }
});
