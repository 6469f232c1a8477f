import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SUITES } from "./suites.ts";

describe("what is fuzzed", () => {
  it.each(SUITES)("$what: is there, draws its cases, and fixes no seed", ({ package: name, file }) => {
    const text = readFileSync(new URL(`../../../packages/${name}/${file}`, import.meta.url), "utf8");
    expect(text).toMatch(/fc\.assert\(/);
    expect(text).not.toMatch(/\{[^}]*\bseed:\s*-?\d/);
  });
});
