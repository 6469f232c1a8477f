import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KnownPaths, parseRequestPath } from "./request-path.ts";

const pathOf = (target: string) => parseRequestPath(target)?.path;

test.each([
  ["/", "/", true],
  ["/a.html", "/a.html", false],
  ["/a/", "/a", true],
  ["/a/../b", "/b", false],
  ["/a/..", "/", true],
  ["/../../etc/passwd", "/etc/passwd", false],
  ["/%2e%2e/%2E%2e/x", "/x", false],
  ["/a//b", "/a/b", false],
  ["/a%20b%25c", "/a b%c", false],
  ["/%C3%BC.txt", "/ü.txt", false],
  ["/a?x=1", "/a", false],
])("RFC 3986 §6.2.2: %s is %s", (target, path, directory) => {
  expect(parseRequestPath(target)).toMatchObject({ path, directory });
});

test.each(["a", "*", "/a%", "/a%2", "/a%zz", "/a%2fb", "/a%00", "/a\u0100"])("%s is refused", (target) => {
  expect(parseRequestPath(target)).toBeUndefined();
});

test("a name that is no UTF-8 keeps its bytes", () => {
  expect(pathOf("/%ff%41")).toEqual(Uint8Array.of(0x2f, 0xff, 0x41));
});

test("the query is kept for redirects and is no part of the path", () => {
  expect(parseRequestPath("/dir?a=/../b")).toMatchObject({ path: "/dir", query: "?a=/../b" });
});

test("no target leads above the root, and every name survives a round trip", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: "grapheme" }), (name) => {
      fc.pre(!/[/\0]/.test(name) && name !== "." && name !== ".." && name.isWellFormed());
      expect(pathOf(`/../x/../${encodeURIComponent(name)}`)).toBe(`/${name}`);
    }),
  );
});

test("a path for a Location never looks like a host, whatever was asked", () => {
  expect(parseRequestPath("//evil.example/..//a b%C3%BC/")?.encoded).toBe("/a%20b%C3%BC");
  expect(parseRequestPath("/%5c%5cevil")?.encoded).toBe("/%5C%5Cevil");
});

describe("paths that are known", () => {
  test("are the same as those that are read anew, also when there are many", () => {
    const paths = new KnownPaths();
    const targets = Array.from({ length: 600 }, (_, i) => `/a/%41/../${i % 300}?q=${i}`);
    for (const target of [...targets, ...targets]) expect(paths.read(target)).toEqual(parseRequestPath(target));
    expect(paths.read("/%zz")).toBe(undefined);
    expect(paths.read("/%zz")).toBe(undefined);
    expect(paths.read(`/${"x".repeat(5_000)}`)?.name).toHaveLength(5_000);
  });
});
