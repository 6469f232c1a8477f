/**
 * Received bytes that the user has not taken, in order: mostly still in the receive buffers that the device filled, else
 * in private memory, when the ring wants its buffers back. Private runs are filled up before another one is begun, so
 * many small packets cost no more than their bytes.
 */
import type { GuestMemory } from "@toril/memory";
import { addressAt } from "@toril/memory";
import { Fifo } from "../connection/fifo.ts";
import type { BorrowedBytes, Lender } from "./borrowed-bytes.ts";
import type { RxBuffer } from "./rx-ring.ts";
import type { MutableStats } from "./stats.ts";

/** Size of a private run in bytes: small enough for a slow connection, large enough for a fast one. */
const PRIVATE_RUN = 16_384;

/** A run of bytes in private memory; what is taken lies before `offset`. */
interface PrivateRun {
  readonly kind: "private";
  readonly bytes: Uint8Array;
  offset: number;
  end: number;
}

type Run = RxBuffer | PrivateRun;

/** What the queue needs of its owner. */
export interface ReceiveOwner {
  readonly memory: GuestMemory;
  readonly stats: MutableStats;
  /** A receive buffer is wanted no longer. */
  repost(buffer: RxBuffer): void;
}

/**
 * Whether `set` is the fastest way into it from a payload, which lies at a multiple of 64: when both are aligned alike, and not
 * for a few bytes. Otherwise GuestMemory knows better.
 */
function copiesFast(target: Uint8Array): boolean {
  return target.length > 16 && (target.byteOffset & 7) === 0 && target.buffer instanceof ArrayBuffer;
}

export class ReceiveQueue implements Lender {
  readonly memory: GuestMemory;
  readonly #owner: ReceiveOwner;
  readonly #stats: MutableStats;
  readonly #onConsumed: (bytes: number) => void;
  readonly #runs: Fifo<Run> = new Fifo();
  #length = 0;
  #held = 0;

  /** @param onConsumed the user has taken this many bytes. */
  constructor(owner: ReceiveOwner, onConsumed: (bytes: number) => void) {
    this.#owner = owner;
    this.memory = owner.memory;
    this.#stats = owner.stats;
    this.#onConsumed = onConsumed;
  }

  /** Bytes waiting. */
  get length(): number {
    return this.#length;
  }

  /** Receive buffers that this connection keeps from the ring, borrowed ones included. */
  get held(): number {
    return this.#held;
  }

  /** Keeps the buffer with its first `bytes` payload bytes. */
  hold(buffer: RxBuffer, bytes: number): void {
    buffer.offset = 0;
    buffer.end = bytes;
    this.#runs.push(buffer);
    this.#held++;
    this.#length += bytes;
  }

  /** Copies the payload to private memory; the buffer stays the caller's. */
  copy(buffer: RxBuffer, bytes: number): void {
    let done = 0;
    while (done < bytes) {
      const run = this.#privateRun(bytes - done);
      const count = Math.min(bytes - done, run.bytes.length - run.end);
      this.memory.read(addressAt(buffer.payloadAddress, done), run.bytes.subarray(run.end, run.end + count));
      run.end += count;
      done += count;
    }
    this.#stats.rxCopied.toPrivate += bytes;
    this.#length += bytes;
  }

  /** Copies bytes to the user and consumes them; returns how many. */
  read(target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const run = this.#runs.first;
      if (run === undefined) break;
      const count = this.#copyTo(run, target, done);
      run.offset += count;
      done += count;
      if (run.offset === run.end) this.#dropFirst();
    }
    this.#length -= done;
    this.#stats.rxCopied.toUser += done;
    if (done > 0) this.#onConsumed(done);
    return done;
  }

  /** The same, without consuming. */
  peek(target: Uint8Array): number {
    let done = 0;
    for (let i = 0; i < this.#runs.length && done < target.length; i++) {
      const run = this.#runs.at(i);
      if (run !== undefined) done += this.#copyTo(run, target, done);
    }
    this.#stats.rxCopied.toUser += done;
    return done;
  }

  /** Hands out the rest of the first run in place. Its length; 0 when there is none. */
  borrow(into: BorrowedBytes): number {
    const run = this.#runs.shift();
    if (run === undefined) return 0;
    const length = run.end - run.offset;
    this.#length -= length;
    if (run.kind === "private") into.fill(this, undefined, length, run.bytes.subarray(run.offset, run.end));
    else into.fill(this, run, length, addressAt(run.payloadAddress, run.offset));
    return length;
  }

  /** A borrowed run comes back. */
  takeBack(buffer: RxBuffer | undefined, length: number): void {
    if (buffer !== undefined) {
      this.#held--;
      this.#owner.repost(buffer);
    }
    this.#onConsumed(length);
  }

  /** Drops what nobody will read. How many bytes that were. */
  clear(): number {
    const dropped = this.#length;
    while (this.#runs.length > 0) this.#dropFirst();
    this.#length = 0;
    return dropped;
  }

  #copyTo(run: Run, target: Uint8Array, at: number): number {
    const count = Math.min(run.end - run.offset, target.length - at);
    if (run.kind === "rx" && run.offset === 0 && count === target.length && copiesFast(target)) {
      // A whole message, the usual case: no view is made, so nothing is allocated.
      target.set(run.payload(count));
    } else if (run.kind === "private") {
      target.set(run.bytes.subarray(run.offset, run.offset + count), at);
    } else {
      const part = count === target.length ? target : target.subarray(at, at + count);
      this.memory.read(addressAt(run.payloadAddress, run.offset), part);
    }
    return count;
  }

  #dropFirst(): void {
    const run = this.#runs.shift();
    if (run?.kind !== "rx") return;
    this.#held--;
    this.#owner.repost(run);
  }

  #privateRun(bytes: number): PrivateRun {
    const { last } = this.#runs;
    if (last?.kind === "private" && last.end < last.bytes.length) return last;
    // A run that is the first of a small message is made to measure; what follows it is probably more of the same.
    const size = last?.kind === "private" ? PRIVATE_RUN : Math.min(PRIVATE_RUN, Math.max(512, bytes));
    const run: PrivateRun = { kind: "private", bytes: new Uint8Array(size), offset: 0, end: 0 };
    this.#runs.push(run);
    return run;
  }
}
