/** Time, as the core packages need it. The kernel's core, a test's virtual clock and Node's timers all implement it. */

/** A timer that has been set. */
export interface Timer {
  /** Does nothing when it has fired or been cancelled. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds, with fractions, from an arbitrary start; never goes back. */
  now(): number;
  /** Calls `callback` once, `delay` milliseconds from now or a little later, from the loop that polls the caller. */
  after(delay: number, callback: () => void): Timer;
}
