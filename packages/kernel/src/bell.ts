/** The doorbell of a core, as its own loop sees it: it counts rings, so that a loop can tell whether it missed one. */
import type { Doorbell } from "@toril/virtio/platform";

/** A wait on a bell that can be given up. */
export interface BellWait {
  cancel(): void;
}

export interface Bell extends Doorbell {
  /** How often it was rung: a 32-bit number that wraps. Compare for equality only. */
  read(): number;
  /** Calls back once when the count is no longer `count`: at once or later, but never from within this call. */
  onRing(count: number, callback: () => void): BellWait;
}

/** A bell that its loop's thread can block on: a wake word, or eventfds. */
export interface BlockingBell extends Bell {
  /**
   * Blocks this thread until the count is not `count`; at once when it is another one already.
   * @param timeoutMs milliseconds; for ever unless told
   */
  wait(count: number, timeoutMs?: number): "rung" | "timed-out";
}

/** A bell that only this thread rings: the inline machine's. */
export class LocalBell implements Bell {
  #count = 0;
  #waiting: (() => void) | undefined;
  readonly #defer: (callback: () => void) => void;

  /** @param defer runs a callback soon, but not in this call; a microtask unless told. */
  constructor(defer: (callback: () => void) => void = soon) {
    this.#defer = defer;
  }

  read(): number {
    return this.#count;
  }

  ring(): void {
    this.#count = (this.#count + 1) | 0;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#defer(waiting);
  }

  onRing(count: number, callback: () => void): BellWait {
    let live = true;
    const once = (): void => {
      if (live) callback();
      live = false;
    };
    if (count !== this.#count) this.#defer(once);
    else this.#waiting = once;
    return {
      cancel: () => {
        live = false;
        if (this.#waiting === once) this.#waiting = undefined;
      },
    };
  }
}

function soon(callback: () => void): void {
  void Promise.resolve().then(callback);
}
