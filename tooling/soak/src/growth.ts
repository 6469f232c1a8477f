/**
 * Whether a series grows. What is counted exactly must come back to what it was. What breathes (memory) may, within an
 * allowance: then both the medians of the first and the last third, and the median of all slopes (Theil and Sen), must
 * say that it does not grow: a single odd sample moves neither.
 */

export type Rule = { readonly kind: "exact" } | { readonly kind: "breathes"; readonly allowance: number };

export interface Verdict {
  readonly first: number;
  readonly last: number;
  /** By which the whole series rises, as the median slope has it. */
  readonly rise: number;
  readonly grows: boolean;
}

/** @param series one value for each time of rest, in order; the first ones, while things warm up, left out */
export function judge(series: readonly number[], rule: Rule): Verdict {
  const third = Math.max(1, Math.floor(series.length / 3));
  const first = median(series.slice(0, third));
  const last = median(series.slice(-third));
  const rise = medianSlope(series) * (series.length - 1);
  if (rule.kind === "exact") return { first, last, rise, grows: Math.max(...series) > Math.min(...series) };
  return { first, last, rise, grows: last - first > rule.allowance && rise > rule.allowance };
}

function medianSlope(series: readonly number[]): number {
  const slopes: number[] = [];
  for (let i = 0; i < series.length; i++) {
    for (let j = i + 1; j < series.length; j++) slopes.push(((series[j] ?? 0) - (series[i] ?? 0)) / (j - i));
  }
  return slopes.length === 0 ? 0 : median(slopes);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
