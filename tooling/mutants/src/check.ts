/** Applies mutants one after the other, and sees whether the tests notice. */
import type { Mutant } from "./mutant.ts";
import { type Outcome, Workbench } from "./workbench.ts";

export interface Verdict {
  readonly mutant: Mutant;
  readonly outcome: Outcome;
}

/**
 * @throws Error when a package's tests fail without any mutant, or a mutant does not fit: then nothing is proven.
 */
export async function check(mutants: readonly Mutant[], tell: (verdict: Verdict) => void): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const folder of new Set(mutants.map((mutant) => mutant.package))) {
    const own = mutants.filter((mutant) => mutant.package === folder);
    const bench = new Workbench(folder);
    try {
      const sound = await bench.test([...new Set(own.flatMap(({ tests }) => tests))]);
      if (sound.kind !== "passed") throw new Error(`the tests of ${folder} fail without a mutant: ${described(sound)}`);
      for (const mutant of own) {
        bench.apply(mutant);
        const verdict = { mutant, outcome: await bench.test(mutant.tests) };
        bench.restore();
        verdicts.push(verdict);
        tell(verdict);
      }
    } finally {
      bench.dispose();
    }
  }
  return verdicts;
}

export function described(outcome: Outcome): string {
  if (outcome.kind === "failed") return outcome.by;
  return outcome.kind === "hung" ? "did not end" : "passed";
}
