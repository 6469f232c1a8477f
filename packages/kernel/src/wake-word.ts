/**
 * A doorbell across threads: two words in a SharedArrayBuffer of the host's own. Never in guest memory: a guest that
 * could write them could keep the host awake, or asleep.
 *
 * No ring is lost: the waiter announces itself, then waits only while the count is still the one it read before it looked
 * for work; the ringer counts up, then looks for announced waiters. Atomics are sequentially consistent, so one of
 * the two sees the other. While nobody waits a ring costs two atomic operations and no system call.
 */
import type { BellWait, BlockingBell } from "./bell.ts";

/** Words that one wake word takes. */
export const WAKE_WORD_LENGTH = 2;

interface AsyncWaiter {
  waitAsync?(
    words: Int32Array,
    index: number,
    value: number,
  ): { readonly async: false; readonly value: string } | { readonly async: true; readonly value: Promise<string> };
}

export class WakeWord implements BlockingBell {
  readonly #words: Int32Array;
  /** Rings so far. */
  readonly #count: number;
  /** Threads that wait. */
  readonly #waiters: number;
  /** What waits here, asynchronously; it is counted among the waiters. */
  #callback: (() => void) | undefined;
  /** The engine has an asynchronous wait of ours. It cannot be taken back, so the next wait uses it again. */
  #registered = false;

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
    // The ringer's own loop, in this very thread: a wake-up through the engine would cost both of us some microseconds.
    const own = this.#withdraw();
    if (own !== undefined) void Promise.resolve().then(own);
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
    this.#withdraw();
    this.#callback = callback;
    Atomics.add(this.#words, this.#waiters, 1);
    const mine = (): void => {
      if (this.#callback === callback) this.#withdraw()?.();
    };
    if (!this.#registered) this.#register(count);
    // The wait that stands ends with the next ring, whatever the count was then; but there may have been one already.
    else if (this.read() !== count) void Promise.resolve().then(mine);
    return {
      cancel: () => {
        if (this.#callback === callback) this.#withdraw();
      },
    };
  }

  #register(count: number): void {
    const { waitAsync } = Atomics as AsyncWaiter;
    if (waitAsync === undefined) throw new Error("this engine has no Atomics.waitAsync");
    const outcome = waitAsync(this.#words, this.#count, count);
    this.#registered = true;
    void (outcome.async ? outcome.value : Promise.resolve()).then(() => {
      this.#registered = false;
      this.#withdraw()?.();
    });
  }

  /** Takes what waits here out of the waiters, so that nobody notifies for nothing. */
  #withdraw(): (() => void) | undefined {
    const callback = this.#callback;
    if (callback === undefined) return undefined;
    this.#callback = undefined;
    Atomics.sub(this.#words, this.#waiters, 1);
    return callback;
  }
}
