/** A clock that stands still until it is told to move: timeouts in tests take no time and always take the same. */
import type { Clock, Timer } from "@toril/virtio/platform";

interface Entry {
  readonly due: number;
  readonly callback: () => void;
}

export class ManualClock implements Clock {
  #now = 0;
  readonly #entries = new Set<Entry>();

  /** Timers that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#entries.size;
  }

  now(): number {
    return this.#now;
  }

  after(delay: number, callback: () => void): Timer {
    const entry: Entry = { due: this.#now + delay, callback };
    this.#entries.add(entry);
    return { cancel: () => void this.#entries.delete(entry) };
  }

  /** Moves time on; what comes due fires in order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (let next = this.#earliest(end); next !== undefined; next = this.#earliest(end)) {
      this.#now = Math.max(this.#now, next.due);
      this.#entries.delete(next);
      next.callback();
    }
    this.#now = end;
  }

  #earliest(end: number): Entry | undefined {
    let earliest: Entry | undefined;
    for (const entry of this.#entries) {
      if (entry.due <= end && (earliest === undefined || entry.due < earliest.due)) earliest = entry;
    }
    return earliest;
  }
}
