/**
 * One caller's wish to stop waiting: its AbortSignal, its thread's, or its timeout, whichever comes first. Requests
 * that wait or are in flight register here; they are told once, synchronously, when the wish comes.
 */
import { type AbortSignalLike, type Clock, Errno, type Timer } from "@toril/virtio/platform";

/** Something that can be hurried: a queued request is withdrawn, one in flight is interrupted (FUSE_INTERRUPT). */
export interface Cancellable {
  onCancelled(): void;
}

export interface CancellationSource {
  readonly clock: Clock;
  readonly signals: readonly (AbortSignalLike | undefined)[];
  /** Milliseconds from now. */
  readonly timeoutMs: number | undefined;
}

export class Cancellation {
  /** 0 while wanted; then -ECANCELED or -ETIMEDOUT. */
  result = 0;
  /** The signal's reason, for the error's `cause`. */
  cause: unknown;
  readonly #targets = new Set<Cancellable>();
  readonly #signals: AbortSignalLike[] = [];
  readonly #onAbort = (): void => this.#cancel(-Errno.ECANCELED);
  #timer: Timer | undefined;

  constructor(source: CancellationSource) {
    for (const signal of source.signals) {
      if (signal === undefined) continue;
      this.#signals.push(signal);
      if (signal.aborted) this.#cancel(-Errno.ECANCELED);
      else signal.addEventListener("abort", this.#onAbort, { once: true });
    }
    if (source.timeoutMs !== undefined && this.result === 0) {
      if (source.timeoutMs <= 0) this.#cancel(-Errno.ETIMEDOUT);
      else this.#timer = source.clock.after(source.timeoutMs, () => this.#cancel(-Errno.ETIMEDOUT));
    }
  }

  get cancelled(): boolean {
    return this.result !== 0;
  }

  /** `target` hears of the cancellation until it leaves. Told at once when it has come already. */
  join(target: Cancellable): void {
    if (this.cancelled) target.onCancelled();
    else this.#targets.add(target);
  }

  leave(target: Cancellable): void {
    this.#targets.delete(target);
  }

  /** Settles with `result` when the wish comes, never before. */
  whenCancelled(): Promise<number> {
    return new Promise((resolve) => this.join({ onCancelled: () => resolve(this.result) }));
  }

  /** Settles as `work` does, or with `result` when the wish comes before. */
  orEarlier<T>(work: Promise<T>): Promise<T | number> {
    return new Promise((resolve, reject) => {
      const waiter = { onCancelled: () => resolve(this.result) };
      this.join(waiter);
      const settled = (value: T): void => {
        this.leave(waiter);
        resolve(value);
      };
      const failed = (error: unknown): void => {
        this.leave(waiter);
        reject(error);
      };
      work.then(settled, failed);
    });
  }

  /** The call is over: nothing is listened to any more. */
  end(): void {
    this.#timer?.cancel();
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#onAbort);
    this.#targets.clear();
  }

  #cancel(result: number): void {
    if (this.result !== 0) return;
    this.result = result;
    this.cause = this.#signals.find((signal) => signal.aborted)?.reason;
    const targets = [...this.#targets];
    this.end();
    for (const target of targets) target.onCancelled();
  }
}
