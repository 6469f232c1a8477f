/** A failing seed with as few kinds of faults as it needs: the others are left out, one after the other. */
import { FAULTS } from "./faults.ts";
import type { SeedReport } from "./run-seed.ts";
import { runTrapped } from "./seeds.ts";

/** @returns the report of the simplest run that still fails, and what was left out for it */
export async function shrink(
  seed: number,
  without: ReadonlySet<string>,
): Promise<{ report: SeedReport; without: Set<string> }> {
  const left = new Set(without);
  let report = await runTrapped({ seed, without: left });
  for (const fault of FAULTS) {
    if (!report.faults.includes(fault)) continue;
    const attempt = await runTrapped({ seed, without: new Set([...left, fault]) });
    if (attempt.findings.length === 0) continue;
    left.add(fault);
    report = attempt;
  }
  return { report, without: left };
}
