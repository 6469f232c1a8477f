import { describe, expect, test } from "vitest";
import { changedSource, type Loaded, load } from "./load.ts";
import { mutants } from "./mutants.ts";
import { run } from "./run.ts";
import { formatTrace } from "./trace.ts";

const unchanged = await load();
const threadNames = (mutant: (typeof mutants)[number]): string[] => mutant.program.threads.map(({ name }) => name);

describe.each(mutants.map((mutant) => [mutant.name, mutant] as const))("when %s", (_, mutant) => {
  let loaded: Promise<Loaded> | undefined;

  test.each(mutant.foundBy)("%s finds it, and prints the schedule", { timeout: 120_000 }, async (model) => {
    loaded ??= mutant.changes === undefined ? Promise.resolve(unchanged) : load(mutant.changes);
    const { plainStore, program } = mutant;
    const result = run(await loaded, program, { model, ...(plainStore === undefined ? {} : { plainStore }) });
    expect(result.failure?.reason).toMatch(mutant.reason);
    if (plainStore !== undefined) expect(result.faults).toBeGreaterThan(0);
    if (result.failure === undefined) return;
    const trace = formatTrace(result.failure, threadNames(mutant), program.nameOf);
    expect(trace.split("\n").length).toBe(result.failure.steps.length + 2);
    expect(trace).toMatch(/load|wait/);
  });
});

test("a mutant whose text is gone fails loudly", async () => {
  const change = { file: "packages/kernel/src/wake-word.ts", text: "no such text", replacement: "" };
  await expect(load([change])).rejects.toThrow("does not contain: no such text");
  expect(() => changedSource("a a", { file: "f", text: "a", replacement: "" })).toThrow("more than once");
  await expect(load([{ ...change, file: "packages/http/src/index.ts" }])).rejects.toThrow("not part of the code");
});
