/** A clock that moves only when it is told to: tests with timeouts then run at once, and the same way every time. */
import type { Clock, Timer } from "../platform/index.ts";

interface Pending {
  readonly due: number;
  readonly sequence: number;
  readonly callback: () => void;
}

export class VirtualClock implements Clock {
  #now: number;
  #sequence = 0;
  readonly #pending = new Set<Pending>();

  /** @param start milliseconds. */
  constructor(start = 0) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(delay: number, callback: () => void): Timer {
    const timer: Pending = { due: this.#now + Math.max(0, delay), sequence: this.#sequence++, callback };
    this.#pending.add(timer);
    return { cancel: () => void this.#pending.delete(timer) };
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#pending.size;
  }

  /** When the next timer is due; `undefined` when none is set. */
  get nextDue(): number | undefined {
    return this.#earliest()?.due;
  }

  /**
   * Moves on by `milliseconds`, firing what falls due in order of time (then of setting), each at its own time. Timers
   * set on the way fire too when they fall due.
   */
  advance(milliseconds: number): void {
    const until = this.#now + milliseconds;
    for (let timer = this.#earliest(); timer !== undefined && timer.due <= until; timer = this.#earliest()) {
      this.#pending.delete(timer);
      this.#now = Math.max(this.#now, timer.due);
      timer.callback();
    }
    this.#now = until;
  }

  /** Moves on to the next timer and fires it; `false` when none is set. */
  advanceToNext(): boolean {
    const due = this.nextDue;
    if (due === undefined) return false;
    this.advance(Math.max(0, due - this.#now));
    return true;
  }

  #earliest(): Pending | undefined {
    let first: Pending | undefined;
    for (const timer of this.#pending) {
      if (
        first === undefined ||
        timer.due < first.due ||
        (timer.due === first.due && timer.sequence < first.sequence)
      ) {
        first = timer;
      }
    }
    return first;
  }
}
