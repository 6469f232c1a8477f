/**
 * The timers of one core: a binary heap by due time, then by order of setting. The core fires what is due once per turn;
 * between turns nothing happens. Implements the Clock that drivers and devices take.
 */
import type { Clock, Timer } from "@toril/virtio/platform";

/** Not in the heap: fired or cancelled. */
const GONE = -1;

class HeapTimer implements Timer {
  readonly due: number;
  readonly sequence: number;
  readonly #owner: TimerQueue;
  callback: (() => void) | undefined;
  /** Where it stands in the heap. */
  place: number = GONE;

  constructor(owner: TimerQueue, due: number, sequence: number, callback: () => void) {
    this.#owner = owner;
    this.due = due;
    this.sequence = sequence;
    this.callback = callback;
  }

  cancel(): void {
    this.callback = undefined;
    this.#owner.drop(this);
  }
}

export interface TimerQueueOptions {
  /** Milliseconds, with fractions; must not go back. */
  readonly now: () => number;
  /** A timer became the earliest: whoever sleeps until the one before must look again. */
  readonly onEarlier?: () => void;
  /** A callback threw. It stops no other. */
  readonly onError?: (error: unknown) => void;
}

export class TimerQueue implements Clock {
  readonly #now: () => number;
  readonly #onEarlier: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #heap: HeapTimer[] = [];
  #sequence = 0;
  /** Timers fired since the start. */
  fired = 0;

  constructor(options: TimerQueueOptions) {
    this.#now = options.now;
    this.#onEarlier = options.onEarlier ?? (() => {});
    this.#onError = options.onError ?? (() => {});
  }

  now(): number {
    return this.#now();
  }

  /**
   * @param delay milliseconds; less than 0 counts as 0, Infinity never fires.
   * @throws RangeError when `delay` is NaN.
   */
  after(delay: number, callback: () => void): Timer {
    if (Number.isNaN(delay)) throw new RangeError("a timer's delay is NaN: give milliseconds");
    const timer = new HeapTimer(this, this.#now() + Math.max(0, delay), this.#sequence++, callback);
    if (timer.due === Number.POSITIVE_INFINITY) return timer;
    this.#heap.push(timer);
    this.#rise(timer, this.#heap.length - 1);
    if (timer.place === 0) this.#onEarlier();
    return timer;
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#heap.length;
  }

  /** When the next timer is due, on `now`'s scale; Infinity when none is set. */
  get nextDue(): number {
    return this.#heap[0]?.due ?? Number.POSITIVE_INFINITY;
  }

  /** Fires all timers that are due now, and were set before this call. Whether there were any. */
  fire(): boolean {
    const first = this.#heap[0];
    if (first === undefined) return false;
    const now = this.#now();
    const newer = this.#sequence;
    let any = false;
    for (let timer: HeapTimer | undefined = first; timer !== undefined; timer = this.#heap[0]) {
      // A timer set by a callback of this round waits for the next, or a 0 ms timer that sets itself would hang the core.
      if (timer.due > now || timer.sequence >= newer) break;
      any = true;
      this.fired++;
      const { callback } = timer;
      timer.cancel();
      try {
        callback?.();
      } catch (error) {
        this.#onError(error);
      }
    }
    return any;
  }

  /** For a timer's `cancel`. */
  drop(timer: HeapTimer): void {
    const { place } = timer;
    if (place === GONE) return;
    timer.place = GONE;
    const last = this.#heap.pop();
    if (last === undefined || last === timer) return;
    this.#rise(last, place);
    if (last.place === place) this.#sink(last, place);
  }

  #rise(timer: HeapTimer, from: number): void {
    let place = from;
    while (place > 0) {
      const parent = this.#heap[(place - 1) >> 1];
      if (parent === undefined || isBefore(parent, timer)) break;
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(timer, place);
  }

  #sink(timer: HeapTimer, from: number): void {
    let place = from;
    for (;;) {
      let below = 2 * place + 1;
      let child = this.#heap[below];
      if (child === undefined) break;
      const right = this.#heap[below + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        below++;
      }
      if (isBefore(timer, child)) break;
      this.#put(child, place);
      place = below;
    }
    this.#put(timer, place);
  }

  #put(timer: HeapTimer, place: number): void {
    this.#heap[place] = timer;
    timer.place = place;
  }
}

function isBefore(a: HeapTimer, b: HeapTimer): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}
