import { describe, expect, test } from "vitest";
import { load } from "./load.ts";
import { run } from "./run.ts";
import { short } from "./suites.ts";
import { formatTrace } from "./trace.ts";

const loaded = await load();

describe.each(short.map(({ program, models }) => [program.name, program, models] as const))(
  "§2.7: %s",
  (_, program, models) => {
    test.each(models)(
      "%s: no wake-up is lost, nothing is seen before it is published",
      { timeout: 120_000 },
      (model) => {
        const { failure, complete, ends } = run(loaded, program, { model });
        const names = program.threads.map(({ name }) => name);
        expect(failure === undefined ? "" : formatTrace(failure, names, program.nameOf)).toBe("");
        expect(complete).toBe(true);
        expect(ends).toBeGreaterThan(0);
      },
    );
  },
);
