/** Threads of one core that wait for the same thing, first come first served. */
import type { AbortSignalLike, Clock } from "@toril/virtio/platform";
import type { Resume } from "./run-queue.ts";
import { Wait, type WaitOptions } from "./wait.ts";

export interface WaitQueueOptions {
  readonly clock: Clock;
  /** The core's run queue (`core.schedule`). */
  readonly schedule: (resume: Resume) => void;
  /** What error messages call the wait; `wait` unless told. */
  readonly syscall?: string;
}

export class WaitQueue {
  readonly #options: WaitQueueOptions;
  /** A Set keeps the order of insertion, and lets a waiter that timed out go in no time. */
  readonly #waiters = new Set<Wait<void>>();
  readonly #forget = (wait: object): void => void this.#waiters.delete(wait as Wait<void>);

  constructor(options: WaitQueueOptions) {
    this.#options = options;
  }

  /** Waiters. */
  get length(): number {
    return this.#waiters.size;
  }

  /**
   * Waits to be woken. A thread uses its own `threads.wait(queue)` instead, so that cancelling it ends the wait.
   * @throws SystemError ETIMEDOUT, ECANCELED
   */
  wait(options: WaitOptions = {}, threadSignal?: AbortSignalLike): Promise<void> {
    const { clock, schedule, syscall = "wait" } = this.#options;
    const wait = new Wait<void>({
      ...options,
      clock,
      schedule,
      syscall,
      threadSignal,
      onEnd: this.#forget,
    });
    if (!wait.over) this.#waiters.add(wait);
    return wait.promise;
  }

  /** Wakes the one that has waited longest. `false`: nobody waits. A wake-up never goes to one who has given up. */
  wakeOne(): boolean {
    for (const waiter of this.#waiters) return waiter.end(undefined);
    return false;
  }

  /** Wakes all who wait now; returns how many. */
  wakeAll(): number {
    const waiters = [...this.#waiters];
    for (const waiter of waiters) waiter.end(undefined);
    return waiters.length;
  }

  /** Ends all waits with an error: what they wait for will never come. */
  failAll(error: Error): number {
    const waiters = [...this.#waiters];
    for (const waiter of waiters) waiter.fail(error);
    return waiters.length;
  }
}
