/** One wait of one thread: ends by a wake-up, a timeout or a signal, whichever comes first, and exactly once. */
import { type AbortSignalLike, type Clock, Errno, SystemError, type Timer } from "@toril/virtio/platform";
import type { Resume } from "./run-queue.ts";

export interface WaitOptions {
  /** Milliseconds; then ETIMEDOUT. Waits for ever unless told. */
  readonly timeoutMs?: number;
  /** Ends the wait with ECANCELED, `cause` being the signal's reason. */
  readonly signal?: AbortSignalLike;
}

export interface WaitTerms extends WaitOptions {
  readonly clock: Clock;
  /** Puts what resumes the waiter into the core's run queue. */
  readonly schedule: (resume: Resume) => void;
  /** The call that waits, for error messages. */
  readonly syscall: string;
  /** The signal of the thread that waits. */
  readonly threadSignal?: AbortSignalLike | undefined;
  /** The wait is over, for whatever reason, perhaps while it is being made: take it off the lists. */
  readonly onEnd?: (wait: object) => void;
}

const ignore = (): void => {};

export class Wait<T> {
  readonly promise: Promise<T>;
  readonly #terms: WaitTerms;
  readonly #cancel: () => void;
  #resolve: (value: T) => void = ignore;
  #reject: (error: Error) => void = ignore;
  #timer: Timer | undefined;
  #state: "waiting" | "over" = "waiting";

  constructor(terms: WaitTerms) {
    this.#terms = terms;
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A thread that is cancelled may never look at a wait it began: that must not count as an unhandled rejection.
    this.promise.catch(ignore);
    this.#cancel = () => {
      const cancelled = terms.threadSignal?.aborted === true ? terms.threadSignal : terms.signal;
      this.fail(cancelledError(terms.syscall, cancelled));
    };
    const { signal, threadSignal, timeoutMs } = terms;
    if (threadSignal?.aborted === true || signal?.aborted === true) {
      this.#cancel();
      return;
    }
    threadSignal?.addEventListener("abort", this.#cancel, { once: true });
    signal?.addEventListener("abort", this.#cancel, { once: true });
    if (timeoutMs !== undefined) {
      this.#timer = terms.clock.after(timeoutMs, () => {
        this.fail(new SystemError(Errno.ETIMEDOUT, terms.syscall, `nothing came within ${timeoutMs} ms`));
      });
    }
  }

  get over(): boolean {
    return this.#state === "over";
  }

  /** Wakes the waiter with a value. `false`: the wait was over already. */
  end(value: T): boolean {
    if (!this.#finish()) return false;
    this.#terms.schedule(() => this.#resolve(value));
    return true;
  }

  /** Wakes the waiter with an error. `false`: the wait was over already. */
  fail(error: Error): boolean {
    if (!this.#finish()) return false;
    this.#terms.schedule(() => this.#reject(error));
    return true;
  }

  #finish(): boolean {
    if (this.#state === "over") return false;
    this.#state = "over";
    this.#timer?.cancel();
    this.#terms.threadSignal?.removeEventListener("abort", this.#cancel);
    this.#terms.signal?.removeEventListener("abort", this.#cancel);
    this.#terms.onEnd?.(this);
    return true;
  }
}

/** What a call ends with whose thread, or own signal, was cancelled. */
export function cancelledError(syscall: string, signal: AbortSignalLike | undefined): SystemError {
  const error = new SystemError(Errno.ECANCELED, syscall, "the wait was cancelled");
  Object.defineProperty(error, "cause", { value: signal?.reason, configurable: true, writable: true });
  return error;
}
