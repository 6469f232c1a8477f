/** Many seeds, one after the other, in this process. */
import { setTraps } from "./deterministic-globals.ts";
import { runSeed, type SeedOptions, type SeedReport } from "./run-seed.ts";

/** What many runs come to. Can be added up. */
export interface Tally {
  seeds: number;
  events: number;
  /** Runs by scenario and topology; by fault. */
  readonly scenarios: Record<string, number>;
  readonly faults: Record<string, number>;
  readonly failures: Failure[];
}

interface Failure {
  readonly seed: number;
  readonly findings: readonly string[];
}

export function emptyTally(): Tally {
  return { seeds: 0, events: 0, scenarios: {}, faults: {}, failures: [] };
}

export function addTally(sum: Tally, part: Tally): void {
  sum.seeds += part.seeds;
  sum.events += part.events;
  for (const [name, count] of Object.entries(part.scenarios)) sum.scenarios[name] = (sum.scenarios[name] ?? 0) + count;
  for (const [name, count] of Object.entries(part.faults)) sum.faults[name] = (sum.faults[name] ?? 0) + count;
  sum.failures.push(...part.failures);
}

export async function runSeeds(
  from: number,
  count: number,
  options: Omit<SeedOptions, "seed"> = {},
  after: (report: SeedReport) => void = () => {},
): Promise<Tally> {
  const tally = emptyTally();
  for (let seed = from; seed < from + count; seed++) {
    const report = await runTrapped({ ...options, seed });
    const { scenario, topology, faults, events, findings } = report;
    addTally(tally, {
      seeds: 1,
      events,
      scenarios: { [`${scenario}, ${topology}`]: 1 },
      faults: Object.fromEntries(faults.length === 0 ? [["none", 1]] : faults.map((fault) => [fault, 1])),
      failures: findings.length === 0 ? [] : [{ seed, findings }],
    });
    after(report);
  }
  return tally;
}

/** One run that cannot ask for real time. */
export async function runTrapped(options: SeedOptions): Promise<SeedReport> {
  const takeAway = setTraps();
  try {
    return await runSeed(options);
  } finally {
    takeAway();
  }
}
