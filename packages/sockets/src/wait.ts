/**
 * Calls that wait. A wait is in one queue at most, and it is the only thing that holds its timer and its abort listener:
 * whatever ends it (success, error, timeout, abort, close, the end of its thread) goes through `#end`, which lets go of
 * all of them. So no wait is left behind, whichever came first.
 */
import { type AbortSignalLike, type Clock, Errno, SystemError, type Timer } from "@toril/virtio/platform";
import type { WaitOptions } from "./calls.ts";

/** Waits of one kind on one socket, first come first served. A doubly linked list: a wait can leave from the middle. */
export class WaitQueue {
  head: QueuedWait | undefined = undefined;
  #tail: QueuedWait | undefined = undefined;
  #serving: "no" | "yes" | "again" = "no";

  push(wait: QueuedWait): void {
    wait.previous = this.#tail;
    if (this.#tail === undefined) this.head = wait;
    else this.#tail.next = wait;
    this.#tail = wait;
  }

  remove(wait: QueuedWait): void {
    if (wait.previous === undefined) this.head = wait.next;
    else wait.previous.next = wait.next;
    if (wait.next === undefined) this.#tail = wait.previous;
    else wait.next.previous = wait.previous;
    wait.previous = undefined;
    wait.next = undefined;
  }

  /**
   * Lets waits try their operation, in order, until one cannot go on. A wait takes its bytes here, inside the event, so
   * nobody can get in front of it. An operation may itself cause an event: then the running round goes once more.
   */
  serve(): void {
    if (this.#serving !== "no") {
      this.#serving = "again";
      return;
    }
    do {
      this.#serving = "yes";
      while (this.head?.attempt()) {
        // The head has settled and left the queue; the next one is the head now.
      }
    } while ((this.#serving as string) === "again" && this.head !== undefined);
    this.#serving = "no";
  }

  /** Ends every wait with an error. */
  failAll(errno: number, detail?: string): void {
    while (this.head !== undefined) this.head.fail(errno, detail);
  }
}

/** What a queue needs of a wait. */
export interface QueuedWait {
  previous: QueuedWait | undefined;
  next: QueuedWait | undefined;
  /** Tries the operation; `true` when the wait has settled. */
  attempt(): boolean;
  fail(errno: number, detail?: string): void;
}

/** A wait, as its thread sees it. */
export interface Cancellable {
  cancel(reason: unknown): void;
}

/** The thread for which waits are made: it can end them all. */
export interface WaitScope {
  readonly clock: Clock;
  /** The thread's own signal. */
  readonly signal: AbortSignalLike | undefined;
  readonly waits: Set<Cancellable>;
}

export abstract class Wait<T> implements QueuedWait, Cancellable {
  readonly promise: Promise<T>;
  previous: QueuedWait | undefined = undefined;
  next: QueuedWait | undefined = undefined;
  readonly syscall: string;
  readonly #scope: WaitScope;
  #queue: WaitQueue | undefined;
  #resolve: (value: T) => void = nothing;
  #reject: (error: Error) => void = nothing;
  #timer: Timer | undefined;
  #signal: AbortSignalLike | undefined;
  #onAbort: (() => void) | undefined;

  /** Stands in `queue` from now on. The caller has tried the operation already, and has checked `options`. */
  constructor(syscall: string, scope: WaitScope, queue: WaitQueue | undefined, options: WaitOptions | undefined) {
    this.syscall = syscall;
    this.#scope = scope;
    this.#queue = queue;
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    queue?.push(this);
    scope.waits.add(this);
    const timeoutMs = options?.timeoutMs;
    if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
      this.#timer = scope.clock.after(timeoutMs, () => this.timedOut(timeoutMs));
    }
    const signal = options?.signal;
    if (signal !== undefined) {
      this.#signal = signal;
      this.#onAbort = () => this.cancel(signal.reason);
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  abstract attempt(): boolean;

  succeed(value: T): void {
    this.#end();
    this.#resolve(value);
  }

  fail(errno: number, detail?: string): void {
    this.#failWith(this.failure(errno, detail));
  }

  cancel(reason: unknown): void {
    this.#failWith(canceled(this.failure(Errno.ECANCELED, "the wait was cancelled"), reason));
  }

  /** Select overrides it: for it a timeout is a result. */
  protected timedOut(timeoutMs: number): void {
    this.fail(Errno.ETIMEDOUT, `nothing happened for ${timeoutMs} ms`);
  }

  /** Sends override it: their error says how much went. */
  protected failure(errno: number, detail?: string): SystemError {
    return new SystemError(errno, this.syscall, detail);
  }

  /** A wait that holds more than its queue place gives it up here; called once, for every way to end. */
  protected released(): void {}

  #failWith(error: Error): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#queue?.remove(this);
    this.#queue = undefined;
    this.#scope.waits.delete(this);
    this.#timer?.cancel();
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#onAbort = undefined;
    this.released();
  }
}

/** An error that says why: `cause` is the signal's reason. */
export function canceled(error: SystemError, reason: unknown): SystemError {
  if (reason !== undefined) error.cause = reason;
  return error;
}

/**
 * What must be true before a call may do or wait for anything: options that make sense, and nobody has cancelled it.
 * Returns the error to throw, `undefined` when all is well.
 */
export function refusal(syscall: string, scope: WaitScope, options: WaitOptions | undefined): SystemError | undefined {
  const timeoutMs = options?.timeoutMs;
  if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
    return new SystemError(Errno.EINVAL, syscall, `a timeout of ${timeoutMs} ms: use a number from 0 up`);
  }
  if (scope.signal?.aborted) return cancelledBefore(syscall, scope.signal, "its thread was cancelled");
  if (options?.signal?.aborted) return cancelledBefore(syscall, options.signal, "its signal was aborted before");
  return undefined;
}

function cancelledBefore(syscall: string, signal: AbortSignalLike, detail: string): SystemError {
  return canceled(new SystemError(Errno.ECANCELED, syscall, detail), signal.reason);
}

function nothing(): void {}
