/**
 * One deadline per connection, for whatever it waits for. Deadlines move with every request, timers cost: so the timer
 * is left where it is when the deadline moves back, and looks again when it fires.
 */
import type { Clock, Timer } from "@toril/virtio/platform";

/** What a connection waits for. In `none` it waits for nobody, or for its handler. */
export type Phase = "none" | "idle" | "head" | "body" | "write" | "linger";

export class Deadline {
  phase: Phase = "none";
  readonly #clock: Clock;
  readonly #onExpired: (phase: Phase) => void;
  readonly #look: () => void = () => this.#fired();
  #due = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #timerDue = 0;

  constructor(clock: Clock, onExpired: (phase: Phase) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** From now on this is waited for, and no longer than `milliseconds`. */
  set(phase: Phase, milliseconds: number): void {
    this.phase = phase;
    this.#due = this.#clock.now() + milliseconds;
    if (this.#timer !== undefined && this.#timerDue <= this.#due) return;
    this.#timer?.cancel();
    this.#arm(milliseconds);
  }

  clear(): void {
    this.phase = "none";
    this.#due = Number.POSITIVE_INFINITY;
  }

  /** Clears, and gives the timer up. */
  stop(): void {
    this.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(milliseconds: number): void {
    this.#timerDue = this.#due;
    this.#timer = this.#clock.after(milliseconds, this.#look);
  }

  #fired(): void {
    this.#timer = undefined;
    if (this.#due === Number.POSITIVE_INFINITY) return;
    const left = this.#due - this.#clock.now();
    if (left > 0) {
      this.#arm(left);
      return;
    }
    const { phase } = this;
    this.clear();
    this.#onExpired(phase);
  }
}
