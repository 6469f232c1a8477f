import { expect, test } from "vitest";
import { readBytes, readForward, readPort } from "./usage.ts";

test.each([
  ["0", 0],
  ["8080", 8080],
  ["65535", 65535],
])("port %s", (text, port) => {
  expect(readPort(text)).toBe(port);
});

test.each(["65536", "-1", "80x", "", "1e3", " 80", "0x50"])("%j is no port, and the message names it", (text) => {
  expect(() => readPort(text)).toThrow(`"${text}" is not a port`);
});

test.each([
  ["4096", 4096],
  ["64k", 65536],
  ["64M", 2 ** 26],
  ["1G", 2 ** 30],
  ["2MiB", 2 ** 21],
])("%s is %d bytes", (text, bytes) => {
  expect(readBytes(text)).toBe(bytes);
});

test.each(["", "M", "1T", "1.5M", "-1"])("%j is no size", (text) => {
  expect(() => readBytes(text)).toThrow("is not a size");
});

test.each([
  ["8080:80", { host: "127.0.0.1", port: 8080, guestPort: 80 }],
  ["0.0.0.0:8080:80", { host: "0.0.0.0", port: 8080, guestPort: 80 }],
  ["[::1]:0:7", { host: "::1", port: 0, guestPort: 7 }],
  ["localhost:1:2", { host: "localhost", port: 1, guestPort: 2 }],
])("forward %s", (text, spec) => {
  expect(readForward(text)).toEqual([spec]);
});

test.each(["80", "a:80", "8080:", ":80", "70000:80", "8080:4294967295", "::1:80:80"])("%j is no forward", (text) => {
  expect(() => readForward(text)).toThrow("is no forward");
});

test("several forwards add up", () => {
  expect(readForward("2:2", readForward("1:1")).map((spec) => spec.port)).toEqual([1, 2]);
});
