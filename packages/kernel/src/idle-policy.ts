/**
 * How long an idle core spins before it waits. Spinning saves a wake-up (tens of microseconds) when work comes soon, and
 * holds the processor that the peer may need when it does not. So the budget adapts: it grows while waits turn out to be
 * short, and drops to nothing as soon as one is long. Spins are counted in turns, no clock is read in between.
 */

export interface SpinLimits {
  /** Turns of the first spin: worth about 10 µs. 0: never spins. */
  readonly start: number;
  /** The most turns of one spin: worth about 100 µs. */
  readonly cap: number;
  /** A wait that ends within this many milliseconds would have been worth spinning for; 0.1 unless told. */
  readonly shortWaitMs?: number;
}

/** A turn of an exclusive loop without work costs about 0.4 µs, one of a hosted loop (setImmediate) about 1.5 µs. */
export const EXCLUSIVE_SPIN: SpinLimits = { start: 25, cap: 250 };
export const HOSTED_SPIN: SpinLimits = { start: 7, cap: 70 };
/** Goes to sleep at once: for tests, and machines with fewer processors than cores. */
export const NO_SPIN: SpinLimits = { start: 0, cap: 0 };

export class IdlePolicy {
  readonly #limits: SpinLimits;
  readonly #shortWaitMs: number;
  #budget: number;
  #spent = 0;
  /** Turns spent spinning, and waits on the doorbell, since the start. */
  spins = 0;
  waits = 0;
  /** Spins that found work before their budget ended. */
  spinHits = 0;

  constructor(limits: SpinLimits) {
    this.#limits = limits;
    this.#shortWaitMs = limits.shortWaitMs ?? 0.1;
    this.#budget = limits.start;
  }

  /** Turns that the next spin may take. */
  get budget(): number {
    return this.#budget;
  }

  /** A turn made progress. */
  worked(): void {
    if (this.#spent === 0) return;
    this.#spent = 0;
    this.spinHits++;
  }

  /** A turn made none: `true` to take another one, `false` to go and wait. */
  spin(): boolean {
    if (this.#spent >= this.#budget) return false;
    this.#spent++;
    this.spins++;
    return true;
  }

  /** A wait has ended: by a ring, or because a timer fell due (which says nothing about peers). */
  waited(milliseconds: number, cause: "rung" | "timer"): void {
    this.waits++;
    this.#spent = 0;
    if (cause === "timer") return;
    if (milliseconds > this.#shortWaitMs) this.#budget = 0;
    else this.#budget = Math.min(this.#limits.cap, Math.max(this.#limits.start, this.#budget * 2));
  }
}
