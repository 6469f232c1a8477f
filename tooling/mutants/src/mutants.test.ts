import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { check } from "./check.ts";
import { DOCUMENT, documentWithList } from "./document.ts";
import { mutate } from "./mutant.ts";
import { areas, mutants } from "./mutants.ts";
import { sourceOf } from "./workbench.ts";

const packages = fileURLToPath(new URL("../../../packages/", import.meta.url));

describe.each(mutants.map((mutant) => [mutant.what, mutant] as const))("%s", (_, mutant) => {
  test("can be done to the source as it is, and names tests that are there", () => {
    const source = sourceOf(mutant);
    expect(mutate(source, mutant)).not.toBe(source);
    expect(mutant.tests.length).toBeGreaterThan(0);
    for (const file of mutant.tests) expect(existsSync(`${packages}${mutant.package}/${file}`)).toBe(true);
  });
});

test("there are at least twenty, some of each kind, and no two are called the same", () => {
  expect(mutants.length).toBeGreaterThanOrEqual(20);
  for (const area of areas) expect(area.mutants.length).toBeGreaterThan(5);
  expect(new Set(mutants.map(({ what }) => what)).size).toBe(mutants.length);
});

test("docs/testing.md lists them all: else run `pnpm mutants --write`", () => {
  expect(readFileSync(DOCUMENT, "utf8")).toBe(documentWithList());
});

test("a mutant that does not fit any more fails loudly", () => {
  const [mutant] = mutants;
  if (mutant === undefined) throw new Error("there is no mutant");
  expect(() => mutate("", mutant)).toThrow("does not contain this any more");
  expect(() => mutate(mutant.text + mutant.text, mutant)).toThrow("more than once");
});

describe("the check itself", () => {
  const counters = mutants.find(({ what }) => what.startsWith("free-running counters"));

  test("notices a mutant, and names the test that did", { timeout: 240_000 }, async () => {
    if (counters === undefined) throw new Error("the sample is gone");
    const harmless = { ...counters, what: "nothing is broken", replacement: "return (a - b) | 0 | 0;" };
    const tests = ["src/connection/credit.test.ts"];
    const verdicts = await check(
      [
        { ...counters, tests },
        { ...harmless, tests },
      ],
      () => {},
    );
    expect(verdicts.map(({ outcome }) => outcome.kind)).toEqual(["failed", "passed"]);
    expect(verdicts[0]?.outcome).toMatchObject({ by: expect.stringContaining("§5.10.6.3") });
  });
});
