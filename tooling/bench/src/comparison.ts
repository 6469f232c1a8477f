/** Ours against a C peer, round by round in turns: medians, their spread, and ratios. */
import { machineDescription, median, type Result, table } from "./report.ts";
import { progress } from "./rounds.ts";

export interface Contest {
  readonly name: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly ours: () => number | Promise<number>;
  /** `undefined` where the peer is absent. */
  readonly theirs: (() => Promise<number>) | undefined;
}

export interface Figures {
  readonly contest: Contest;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** The first `warmUp` rounds do not count. */
export async function compete(
  name: string,
  contests: readonly Contest[],
  rounds: number,
  warmUp: number,
): Promise<Figures[]> {
  const figures = contests.map((contest) => ({ contest, ours: [] as number[], theirs: [] as number[] }));
  for (let round = 1 - warmUp; round <= rounds; round++) {
    for (const { contest, ours, theirs } of figures) {
      const [our, their] = [await contest.ours(), await contest.theirs?.()];
      if (round < 1) continue;
      ours.push(our);
      if (their !== undefined) theirs.push(their);
    }
    progress(`${name}: round ${Math.max(round, 0)} of ${rounds}`);
  }
  progress("");
  return figures;
}

export function printFigures(title: string, peer: string, figures: readonly Figures[], json: boolean): void {
  if (json) {
    const results = figures.map(
      ({
        contest: { name, unit, better },
        ours,
        theirs,
      }): Omit<Result, "peerValue" | "ratio"> & { peerValue: number | null; ratio: number | null } => {
        const value = median(ours);
        if (theirs.length === 0)
          return { name, value, unit, better, peer: `${peer}: absent`, peerValue: null, ratio: null };
        const peerValue = median(theirs);
        return { name, value, unit, better, peer, peerValue, ratio: value / peerValue };
      },
    );
    console.log(JSON.stringify({ machine: machineDescription(), results }));
    return;
  }
  const rows = figures.map(({ contest, ours, theirs }) => [
    `${contest.name}, ${contest.unit}`,
    spread(ours),
    theirs.length === 0 ? "absent" : spread(theirs),
    theirs.length === 0 ? "" : (median(ours) / median(theirs)).toFixed(2),
  ]);
  console.log(`${title}\n${machineDescription()}\n`);
  console.log(table([["median (least to most)", "ours", peer, "ratio"], ...rows]));
}

function spread(values: readonly number[]): string {
  return `${digits(median(values))} (${digits(Math.min(...values))} to ${digits(Math.max(...values))})`;
}

function digits(value: number): string {
  if (value >= 1000) return value.toFixed(0);
  return value.toFixed(value < 10 ? 2 : 1);
}
