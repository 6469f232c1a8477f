/**
 * The system calls about threads, as one thread has them. The object is the thread's identity: a wait that begins on it
 * belongs to that thread, and ends when that thread is cancelled, after whatever awaits the program made in between.
 *
 * A machine puts these calls, sockets, files and more into one object, the *system* that a thread's main gets; `System` is
 * the type of that object. The kernel's own is just `{ threads }`.
 */
import type { AbortSignalLike } from "@toril/virtio/platform";
import type { ThreadHandle } from "./thread-handle.ts";
import type { WaitOptions } from "./wait.ts";
import type { WaitQueue } from "./wait-queue.ts";

/** What a thread's main gets when the machine adds nothing. */
export interface PlainSystem {
  readonly threads: ThreadCalls<PlainSystem>;
}

/** The body of a thread. What it returns, or throws, ends the thread. */
export type ThreadMain<System, T> = (system: System) => Promise<T> | T;

export interface SpawnOptions {
  /** For logs; `thread N` unless told. */
  readonly name?: string;
}

/** A thread's body on another core: cores share no objects, so it is named. */
export interface RemoteMain {
  /** The module's URL, as a string. */
  readonly module: string;
  /** Which of its exports; `main` unless told. It gets the system of its core, and `args`. */
  readonly export?: string;
  /** Anything that JSON can carry; it is copied. What the thread returns must be such, too. */
  readonly args?: unknown;
  readonly name?: string;
}

/** How a thread ended. */
export type ThreadExit<T = unknown> =
  | { readonly kind: "returned"; readonly value: T }
  | { readonly kind: "failed"; readonly error: Error }
  | { readonly kind: "cancelled"; readonly reason: unknown };

/** What a thread has used so far. */
export interface ThreadAccount {
  /** Times the core resumed it. */
  readonly turns: number;
  /** Waits that it began (sleeps, joins, wait queues, yields). */
  readonly waits: number;
  /** On the core's clock, in milliseconds. */
  readonly startedAt: number;
}

export interface ThreadCalls<System = PlainSystem> {
  /** Unique on this core, from 1. */
  readonly id: number;
  readonly name: string;
  /** The core that it runs on. */
  readonly core: number;
  /** Aborted when the thread is cancelled: give it to whatever waits on the thread's behalf. */
  readonly signal: AbortSignalLike;
  readonly account: ThreadAccount;

  /** Milliseconds on the core's monotonic clock. */
  now(): number;
  /** Lets devices, timers and the other threads have a turn. @throws SystemError ECANCELED, as all waits below. */
  yield(): Promise<void>;
  /** @param milliseconds at least; 0 is a yield. */
  sleep(milliseconds: number, options?: { readonly signal?: AbortSignalLike }): Promise<void>;
  /** Waits on a queue until woken. @throws SystemError ETIMEDOUT too. */
  wait(queue: WaitQueue, options?: WaitOptions): Promise<void>;

  /** A new thread on this core. It starts in a later turn, not inside this call. @throws SystemError ECANCELED */
  spawn<T>(main: ThreadMain<System, T>, options?: SpawnOptions): ThreadHandle<T>;
  /**
   * A new thread on another core (or this one).
   * @throws SystemError ENODEV: this machine has one core; EINVAL: no such core; E2BIG: args too large; EHOSTDOWN: the core
   * is stopped or dead; ENOENT: it could not load the module or found no such function in it.
   */
  spawnOn(core: number, main: RemoteMain, options?: WaitOptions): Promise<ThreadHandle>;
  /**
   * Waits for a thread to end, and says how. Any number of threads may join one.
   * @throws SystemError ETIMEDOUT; EDEADLK: itself; EHOSTDOWN: its core stopped or died.
   */
  join<T>(thread: ThreadHandle<T>, options?: WaitOptions): Promise<ThreadExit<T>>;
  /**
   * Asks a thread to end: its present wait, and every wait that it begins later, ends with ECANCELED. What it does
   * about that is its own affair: nothing is torn down under it.
   */
  cancel(thread: ThreadHandle, reason?: unknown): void;
  /** For long stretches without a wait. @throws SystemError ECANCELED when this thread has been cancelled. */
  checkCancelled(): void;
}
