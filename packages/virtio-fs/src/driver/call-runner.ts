/** How a call waits: negative errnos become SystemErrors, signals and timeouts end the wait. */
import type { AbortSignalLike, Clock } from "@toril/virtio/platform";
import type { FilePath, FileWaitOptions } from "../file-calls.ts";
import { callError, type Target } from "./call-checks.ts";
import { Cancellation } from "./cancellation.ts";

/**
 * When a cancelled call ends: `at-once`, whatever the device still does; or `returned`, when the device has given back
 * the caller's own buffer, which it is told to hurry with.
 */
export type Settling = "at-once" | "returned";

export class CallRunner {
  readonly #clock: Clock;
  readonly #signal: AbortSignalLike | undefined;
  #shared: Cancellation | undefined;

  /** @param signal ends every call */
  constructor(clock: Clock, signal: AbortSignalLike | undefined) {
    this.#clock = clock;
    this.#signal = signal;
  }

  /** @throws SystemError when `run` comes to a negative errno, or the call is cancelled */
  async call<T>(
    syscall: string,
    what: Target,
    options: FileWaitOptions,
    settling: Settling,
    run: (cancel: Cancellation | undefined) => Promise<T | number>,
    second?: FilePath,
  ): Promise<T> {
    if (this.#signal === undefined && options.signal === undefined && options.timeoutMs === undefined) {
      const result = await run(undefined);
      if (isError(result)) throw callError(result, syscall, what, second);
      return result as T;
    }
    const own =
      options.signal === undefined && options.timeoutMs === undefined ? undefined : this.#cancellation(options);
    const cancel = own ?? this.#lasting();
    try {
      if (cancel.cancelled) throw callError(cancel.result, syscall, what, second, cancel.cause);
      const work = run(cancel);
      const result = await (settling === "returned" ? work : cancel.orEarlier(work));
      if (isError(result)) throw callError(result, syscall, what, second, cancel.cause);
      return result as T;
    } finally {
      own?.end();
    }
  }

  #cancellation({ signal, timeoutMs }: FileWaitOptions): Cancellation {
    return new Cancellation({ clock: this.#clock, signals: [this.#signal, signal], timeoutMs });
  }

  /** Most calls end early by the thread's signal only: they share one. */
  #lasting(): Cancellation {
    this.#shared ??= this.#cancellation({});
    return this.#shared;
  }

  /** A call without a result. */
  do(
    syscall: string,
    what: Target,
    run: (cancel: Cancellation | undefined) => Promise<number>,
    second?: FilePath,
  ): Promise<void> {
    const nothing = async (cancel: Cancellation | undefined): Promise<number | undefined> => {
      const result = await run(cancel);
      return result < 0 ? result : undefined;
    };
    return this.call<number | undefined>(syscall, what, {}, "at-once", nothing, second).then(() => undefined);
  }
}

function isError(result: unknown): result is number {
  return typeof result === "number" && result < 0;
}
