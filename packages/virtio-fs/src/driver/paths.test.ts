import { Errno } from "@toril/virtio/platform";
import { expect, test } from "vitest";
import { NAME_LIMIT, PATH_LIMIT, parsePath } from "./paths.ts";

test("runs of slashes separate once, and a trailing one is remembered", () => {
  expect(parsePath("//a///b/")).toEqual({ names: ["a", "b"], trailingSlash: true });
  expect(parsePath("a/./../b")).toEqual({ names: ["a", ".", "..", "b"], trailingSlash: false });
  expect(parsePath("/")).toEqual({ names: [], trailingSlash: false });
});

test("names are bytes: UTF-8 for strings, untouched for byte paths", () => {
  expect(parsePath("/é")).toEqual({ names: ["\u00c3\u00a9"], trailingSlash: false });
  expect(parsePath(Uint8Array.of(0x2f, 0xff))).toEqual({ names: ["\u00ff"], trailingSlash: false });
});

test("empty, NUL and over-long paths are errors", () => {
  expect(parsePath("")).toBe(-Errno.ENOENT);
  expect(parsePath("/a\0b")).toBe(-Errno.EINVAL);
  expect(parsePath(`/${"x".repeat(NAME_LIMIT)}`)).toHaveProperty("trailingSlash", false);
  expect(parsePath(`/${"x".repeat(NAME_LIMIT + 1)}`)).toBe(-Errno.ENAMETOOLONG);
  expect(parsePath("/a".repeat((PATH_LIMIT - 1) / 2))).toHaveProperty("trailingSlash", false);
  expect(parsePath("/a".repeat((PATH_LIMIT + 1) / 2))).toBe(-Errno.ENAMETOOLONG);
});
