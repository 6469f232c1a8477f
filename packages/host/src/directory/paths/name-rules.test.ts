import { describe, expect, test } from "vitest";
import { nameRules } from "./name-rules.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("Windows", () => {
  const { allows } = nameRules("win32");
  test.each(["index.html", "a b", "ünïcode", "CONSOLE", "com", "com10", "lpt.txt", ".hidden", "a..b", "NULL", "x.con"])(
    "%j is a name",
    (name) => expect(allows(bytes(name))).toBe(true),
  );
  test.each([
    ["another stream of a file", ["a:b", "index.html::$DATA", "C:"]],
    ["more than one name", ["a\\b", "..\\secret", "a/b", "\\\\server\\share"]],
    ["a device, whatever comes behind it", ["CON", "con", "nul.txt", "Aux.tar.gz", "COM1", "lpt9.x", "com¹", "CONIN$"]],
    ["a device with spaces behind it", ["nul .txt", "con  "]],
    ["cut off by Windows", ["a.", "a ", "...", "secret. "]],
    ["a pattern, or not allowed", ["*", "a?", "<a", "a>", 'a"', "a|b", "a\nb", "a\x1f"]],
  ])("%s is not", (_what, names) => {
    for (const name of names) expect([name, allows(bytes(name))]).toEqual([name, false]);
  });
  test("what is not UTF-8 is not, nor is half of a surrogate pair", () => {
    expect(allows(Uint8Array.of(0x61, 0xff))).toBe(false);
    expect(allows(Uint8Array.of(0xed, 0xa0, 0x80))).toBe(false);
  });
});

test("macOS: UTF-8, and nothing else is forbidden", () => {
  const { allows } = nameRules("darwin");
  expect([allows(bytes("a:b\\c*")), allows(bytes("ü")), allows(Uint8Array.of(0xff))]).toEqual([true, true, false]);
});

test("elsewhere a name is bytes", () => {
  expect(nameRules("freebsd").allows(Uint8Array.of(0xff, 0x0a))).toBe(true);
});
