/**
 * How long an idle core spins before it waits. Spinning saves a wake-up (tens of microseconds) when work comes soon, and
 * holds the processor that the peer may need when it does not. So the budget adapts: it grows while waits turn out to be
 * short, halves with each one that is long, down to nothing, and rests for a while when even the longest spins find
 * nothing.
 *
 * A spin is counted in turns: the clock is read when it begins and when it ended without work, never in between. From
 * that the policy learns what a turn costs, which depends on how many devices the core has.
 */

export interface SpinLimits {
  /** The first spin, in milliseconds. 0: never spins. */
  readonly startMs: number;
  /** The longest spin, in milliseconds. */
  readonly capMs: number;
}

/**
 * From 10 µs to 200 µs. A wake-up between threads takes about 40 µs, and 100 µs on a processor that is halted by a
 * hypervisor: a side that spins for less goes to sleep just before the peer that it has woken can answer.
 */
export const ADAPTIVE_SPIN: SpinLimits = { startMs: 0.01, capMs: 0.2 };
/** Goes to sleep at once: for tests, and machines with fewer processors than cores. */
export const NO_SPIN: SpinLimits = { startMs: 0, capMs: 0 };

/** How a loop has idled so far: counts that only grow. */
export interface IdleStats {
  /** Turns spent spinning. */
  readonly spins: number;
  /** Spins that found work before their budget ended, and those that did not. */
  readonly spinHits: number;
  readonly spinMisses: number;
  /** Waits on the doorbell that have ended: woken by a ring, or because a timer fell due. */
  readonly waits: number;
  readonly rungWakeUps: number;
  readonly timerWakeUps: number;
  /** Milliseconds in those waits. */
  readonly sleptMs: number;
}

/**
 * A wait of so many longest spins counts as short. A wait takes longer than what it waits for: a wake-up of our own is in
 * it, and often the peer's, which slept because we did. Two sides that sleep by turns would else never find out that
 * neither had to.
 */
const SHORT_WAIT = 1.5;
/** So many of the longest spins in a row without a find, and the policy rests. */
const VAIN_SPINS = 4;
/** Waits without any spin, at first and at most: each rest that follows another one is twice as long. */
const FIRST_REST = 32;
const LONGEST_REST = 1024;

/** What a turn without work costs before it was measured, and the range in which a measurement is believed. */
const FIRST_GUESS_MS = 0.000_4;
const MIN_TURN_MS = 0.000_05;
const MAX_TURN_MS = 0.01;

export class IdlePolicy {
  readonly #limits: SpinLimits;
  readonly #now: () => number;
  #budgetMs: number;
  #turnMs = FIRST_GUESS_MS;
  /** Turns of the present spin (one more than allowed once it has failed), how many it may take, and when it began. */
  #spent = 0;
  #allowed = 0;
  #began = 0;
  #vainSpins = 0;
  /** Waits that are left of a rest, and how many the next one has. */
  #resting = 0;
  #nextRest = FIRST_REST;
  /** Turns spent spinning, and waits on the doorbell, since the start. */
  spins = 0;
  waits = 0;
  /** Spins that found work before their budget ended, and those that did not. */
  spinHits = 0;
  spinMisses = 0;
  timerWakeUps = 0;
  sleptMs = 0;

  /** @param now milliseconds that never go back. */
  constructor(limits: SpinLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
    this.#budgetMs = limits.startMs;
  }

  /** A copy of the counters, as plain data. */
  get stats(): IdleStats {
    const { spins, spinHits, spinMisses, waits, timerWakeUps, sleptMs } = this;
    return { spins, spinHits, spinMisses, waits, rungWakeUps: waits - timerWakeUps, timerWakeUps, sleptMs };
  }

  /** Milliseconds that the next spin may take. */
  get budgetMs(): number {
    return this.#budgetMs;
  }

  /** A turn made progress. */
  worked(): void {
    if (this.#spent === 0) return;
    if (this.#spent <= this.#allowed) {
      this.spinHits++;
      this.#vainSpins = 0;
      this.#nextRest = FIRST_REST;
    }
    this.#spent = 0;
  }

  /** A turn made none: `true` to take another one, `false` to go and wait. */
  spin(): boolean {
    if (this.#budgetMs === 0) return false;
    if (this.#spent === 0) {
      this.#allowed = Math.max(1, Math.round(this.#budgetMs / this.#turnMs));
      this.#began = this.#now();
    } else if (this.#spent > this.#allowed) {
      return false; // the budget is spent, and that is counted already
    } else if (this.#spent === this.#allowed) {
      this.#learn((this.#now() - this.#began) / this.#spent);
      this.#spent++;
      this.spinMisses++;
      if (this.#budgetMs === this.#limits.capMs) this.#spunInVain();
      return false;
    }
    this.#spent++;
    this.spins++;
    return true;
  }

  /** A wait has ended: by a ring, or because a timer fell due (which says nothing about peers). */
  waited(milliseconds: number, cause: "rung" | "timer"): void {
    this.waits++;
    this.sleptMs += milliseconds;
    this.#spent = 0;
    if (cause === "timer") {
      this.timerWakeUps++;
      return;
    }
    const { startMs, capMs } = this.#limits;
    // Short waits are no reason to end a rest: they are shortest when the peer shares our processor, and a spin would keep
    // it from running.
    if (this.#resting > 0) {
      this.#resting--;
      return;
    }
    if (milliseconds <= capMs * SHORT_WAIT) this.#budgetMs = Math.min(capMs, Math.max(startMs, this.#budgetMs * 2));
    // One long wait says little (the peer collected garbage), several in a row say that spinning is of no use now.
    else this.#budgetMs = this.#budgetMs / 2 < startMs ? 0 : this.#budgetMs / 2;
  }

  #spunInVain(): void {
    this.#vainSpins++;
    if (this.#vainSpins < VAIN_SPINS) return;
    this.#vainSpins = 0;
    this.#budgetMs = 0;
    this.#resting = this.#nextRest;
    this.#nextRest = Math.min(LONGEST_REST, this.#nextRest * 2);
  }

  /**
   * Down at once, up an eighth of the way: nothing makes turns faster than they are, but in a spin during which the thread
   * was not running they seem slow.
   */
  #learn(measuredMs: number): void {
    const believed = Math.min(MAX_TURN_MS, Math.max(MIN_TURN_MS, measuredMs));
    if (believed < this.#turnMs) this.#turnMs = believed;
    else this.#turnMs += (believed - this.#turnMs) / 8;
  }
}
