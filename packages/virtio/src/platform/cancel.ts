/** An AbortController for engines that have none: one source, one signal. */
import type { AbortSignalLike } from "./abort.ts";

type Listener = () => void;

class CancelSignal implements AbortSignalLike {
  /** Each listener once, as the DOM has it. */
  readonly #listeners = new Set<Listener>();
  #aborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  addEventListener(_type: "abort", listener: Listener, _options?: { once?: boolean }): void {
    // An abort comes once only, so every listener is called once at most, whatever the options say.
    if (!this.#aborted) this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: Listener): void {
    this.#listeners.delete(listener);
  }

  fire(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}

/** Cancels what waits on its signal. */
export class CancelSource {
  readonly #signal = new CancelSignal();

  get signal(): AbortSignalLike {
    return this.#signal;
  }

  /** Calls the signal's listeners, in the order they were added; the first call counts. */
  cancel(reason?: unknown): void {
    this.#signal.fire(reason);
  }
}
