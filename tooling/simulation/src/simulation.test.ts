import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { FAULTS } from "./faults.ts";
import { MUTANTS } from "./mutants.ts";
import { runSeed } from "./run-seed.ts";
import type { Tally } from "./seeds.ts";

/** The command as people use it, in a process of its own: real time and real chance are traps there. */
async function simulate(...args: string[]): Promise<string> {
  const command = [
    "--conditions=@toril/source",
    "--import",
    "tsx",
    fileURLToPath(new URL("simulate.ts", import.meta.url)),
  ];
  const run = promisify(execFile)(process.execPath, [...command, ...args], { maxBuffer: 2 ** 26 });
  return (await run.catch((error: { stdout: string; stderr: string }) => error)).stdout;
}

/** CI runs the larger number, once. */
const SEEDS = process.env["TORIL_FULL"] === "1" ? 2_000 : 500;
/** A busy machine takes several times as long as a quiet one. */
const PATIENCE = 900_000;

describe("whole appliances under faults", () => {
  it(
    `${SEEDS} seeds: right bytes or an honest failure, no hang, nothing left behind`,
    async () => {
      const tally = JSON.parse(await simulate("--seeds", String(SEEDS), "--json")) as Tally;
      const told = tally.failures.map(({ seed, findings }) => `pnpm simulate --seed ${seed} --trace: ${findings[0]}`);
      expect(told).toEqual([]);
      expect(tally.seeds).toBe(SEEDS);
      // Every kind of fault was there, in every kind of machine.
      expect(Object.keys(tally.faults).sort()).toEqual([...FAULTS, "none"].sort());
      expect(Object.keys(tally.scenarios)).toHaveLength(6);
    },
    PATIENCE,
  );

  it(
    "the same seed is the same run, event by event, also in another process",
    async () => {
      for (const seed of [3, 8, 20]) {
        const report = await runSeed({ seed, trace: "lines" });
        expect(await runSeed({ seed, trace: "lines" })).toEqual(report);
        const { lines, ...rest } = report;
        expect(JSON.parse(await simulate("--seed", String(seed), "--json"))).toEqual(rest);
        const traced = await simulate("--seed", String(seed), "--trace");
        expect(traced.startsWith(`${lines.join("\n")}\n`)).toBe(true);
      }
      expect((await runSeed({ seed: 3 })).hash).not.toBe((await runSeed({ seed: 4 })).hash);
    },
    PATIENCE,
  );

  it(
    "a fault can be left out, and the run is another one that replays as well",
    async () => {
      const { faults, hash } = await runSeed({ seed: 3 });
      const [left] = faults;
      if (left === undefined) throw new Error("seed 3 has no fault any more: take another");
      const without = new Set([left]);
      const report = await runSeed({ seed: 3, without });
      expect(report.faults).toEqual(faults.slice(1));
      expect(report.hash).not.toBe(hash);
      expect((await runSeed({ seed: 3, without })).hash).toBe(report.hash);
    },
    PATIENCE,
  );
});

describe("a simulation that can fail", () => {
  it.each(MUTANTS)(
    "$name: found",
    async ({ apply, shows }) => {
      const broken = apply();
      let found: { readonly seed: number; readonly text: string } | undefined;
      try {
        for (let seed = 1; seed <= 300 && found === undefined; seed++) {
          const { findings } = await runSeed({ seed, ...(broken.hooks === undefined ? {} : { hooks: broken.hooks }) });
          if (findings.length > 0) found = { seed, text: findings.join("\n") };
        }
      } finally {
        broken.undo();
      }
      expect(found?.text).toMatch(shows);
      expect((await runSeed({ seed: found?.seed ?? 0 })).findings).toEqual([]);
    },
    PATIENCE,
  );
});
