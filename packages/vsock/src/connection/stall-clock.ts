/** How often somebody had to wait for something, and for how long: one for each thing that there is to wait for. */

export interface StallCount {
  /** Waits that have begun. */
  readonly count: number;
  /** Milliseconds of all waits that have ended. */
  readonly ms: number;
}

export class StallClock implements StallCount {
  count = 0;
  ms = 0;
  #since = -1;

  /** Whether somebody waits now. */
  get running(): boolean {
    return this.#since >= 0;
  }

  /** Somebody waits; no matter if somebody did already. The clock is read only when a wait begins or ends. */
  begin(clock: { now(): number }): void {
    if (this.#since >= 0) return;
    this.#since = clock.now();
    this.count++;
  }

  end(clock: { now(): number }): void {
    if (this.#since < 0) return;
    this.ms += clock.now() - this.#since;
    this.#since = -1;
  }
}
