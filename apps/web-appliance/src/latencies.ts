/** A histogram of response times: logarithmic buckets, so that it costs an increment and a few hundred numbers. */

/** Buckets per doubling: each is 9 % wide. */
const PER_DOUBLING = 8;
/** The first bucket ends at a microsecond. */
const SMALLEST_MS = 0.001;
const BUCKETS = 32 * PER_DOUBLING;

export class Latencies {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;

  add(milliseconds: number): void {
    const bucket = Math.ceil(Math.log2(Math.max(milliseconds, SMALLEST_MS) / SMALLEST_MS) * PER_DOUBLING);
    const index = Math.min(bucket, BUCKETS - 1);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
  }

  /** Upper ends of the buckets that hold the percentiles, in milliseconds. */
  summary(): { count: number; p50Ms: number; p99Ms: number; p999Ms: number } {
    return { count: this.#count, p50Ms: this.#at(0.5), p99Ms: this.#at(0.99), p999Ms: this.#at(0.999) };
  }

  #at(share: number): number {
    let left = Math.ceil(this.#count * share);
    if (left === 0) return 0;
    for (let index = 0; index < BUCKETS; index++) {
      left -= this.#counts[index] ?? 0;
      if (left <= 0) return SMALLEST_MS * 2 ** (index / PER_DOUBLING);
    }
    return Number.NaN;
  }
}
