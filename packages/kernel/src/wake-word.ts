/**
 * A doorbell across threads: two words in a SharedArrayBuffer of the host's own. Never in guest memory: a guest that
 * could write them could keep the host awake, or asleep.
 *
 * No ring is lost: the waiter announces itself, then waits only while the count is still the one it read before it looked
 * for work; the ringer counts up, then looks for announced waiters. Atomics are sequentially consistent, so one of
 * the two sees the other. While nobody waits a ring costs two atomic operations and no system call.
 */
import type { Bell, BellWait } from "./bell.ts";

/** Words that one wake word takes. */
export const WAKE_WORD_LENGTH = 2;

interface AsyncWaiter {
  waitAsync?(
    words: Int32Array,
    index: number,
    value: number,
  ): { readonly async: false; readonly value: string } | { readonly async: true; readonly value: Promise<string> };
}

export class WakeWord implements Bell {
  readonly #words: Int32Array;
  /** Rings so far. */
  readonly #count: number;
  /** Threads that wait. */
  readonly #waiters: number;
  /** What the pending asynchronous wait will call; a wait cannot be taken back, so it is used again. */
  #callback: (() => void) | undefined;
  #pending = false;

  /**
   * @param words an Int32Array on a SharedArrayBuffer; @param index of the first of WAKE_WORD_LENGTH words, zero at first.
   * @throws TypeError when the memory is not shared.
   */
  constructor(words: Int32Array, index = 0) {
    if (words.buffer instanceof ArrayBuffer) throw new TypeError("a wake word needs a SharedArrayBuffer");
    this.#words = words;
    this.#count = index;
    this.#waiters = index + 1;
  }

  read(): number {
    return Atomics.load(this.#words, this.#count);
  }

  ring(): void {
    Atomics.add(this.#words, this.#count, 1);
    if (Atomics.load(this.#words, this.#waiters) !== 0) Atomics.notify(this.#words, this.#count);
  }

  /**
   * Blocks this thread until the count is not `count`.
   * @param timeoutMs milliseconds; may be Infinity.
   * @throws TypeError on a thread that must not block.
   */
  wait(count: number, timeoutMs: number = Number.POSITIVE_INFINITY): "rung" | "timed-out" {
    Atomics.add(this.#words, this.#waiters, 1);
    try {
      return Atomics.wait(this.#words, this.#count, count, timeoutMs) === "timed-out" ? "timed-out" : "rung";
    } finally {
      Atomics.sub(this.#words, this.#waiters, 1);
    }
  }

  /**
   * One wait at a time per object.
   * @throws Error when the engine has no Atomics.waitAsync: use an exclusive loop there.
   */
  onRing(count: number, callback: () => void): BellWait {
    this.#callback = callback;
    const wait: BellWait = {
      cancel: () => {
        if (this.#callback === callback) this.#callback = undefined;
      },
    };
    // An earlier wait that was given up still stands: it ends with the next ring. The count may have moved before, though.
    if (this.#pending && this.read() === count) return wait;
    this.#waitAsync(count);
    return wait;
  }

  #waitAsync(count: number): void {
    const { waitAsync } = Atomics as AsyncWaiter;
    if (waitAsync === undefined) throw new Error("this engine has no Atomics.waitAsync");
    Atomics.add(this.#words, this.#waiters, 1);
    const outcome = waitAsync(this.#words, this.#count, count);
    this.#pending = true;
    const done = (): void => {
      Atomics.sub(this.#words, this.#waiters, 1);
      this.#pending = false;
      const callback = this.#callback;
      this.#callback = undefined;
      callback?.();
    };
    void (outcome.async ? outcome.value : Promise.resolve()).then(done);
  }
}
