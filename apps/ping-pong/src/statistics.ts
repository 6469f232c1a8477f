/** Few numbers that say much about many. */

/** The nearest rank: a value that was really measured. `sorted` ascending, not empty. */
export function percentile(sorted: Float64Array | readonly number[], share: number): number {
  const rank = Math.min(sorted.length, Math.max(1, Math.ceil(share * sorted.length)));
  return sorted[rank - 1] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** A figure of several rounds: the median, and how far the rounds were apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** @param samples not empty; sorted in place */
export function latencies(samples: Float64Array): Latencies {
  samples.sort();
  return { p50: percentile(samples, 0.5), p99: percentile(samples, 0.99), p999: percentile(samples, 0.999) };
}
