/**
 * Guest memory for what a request needs only for a while: bytes on their way between private buffers and the device. When
 * memory runs out the file cache gives some up; when that is not enough, calls wait, first come first served. One buffer
 * is kept in reserve, so that a call always goes on, even if nobody else ever frees anything.
 */
import type { DmaAllocator, DmaBuffer } from "@toril/memory";
import { type Clock, Errno } from "@toril/virtio/platform";
import type { Cancellable, Cancellation } from "./cancellation.ts";
import type { Counters } from "./stats.ts";

/** The largest buffer to ask for, and the size of the reserve, in bytes: large pieces gain nothing, see performance.md. */
export const BUFFER_LIMIT = 65_536;
/** File data is page-aligned, so that a device can map or splice it. */
export const DATA_ALIGNMENT = 4096;

/** `passing`: comes back by itself, so the reserve may serve. `lasting`: goes to the caller for as long as he likes. */
export type BufferUse = "passing" | "lasting";

/** Milliseconds between looks for memory that somebody else may have freed, while a call waits for it. */
const LOOK_AGAIN_MS = 10;

class Waiter implements Cancellable {
  readonly length: number;
  readonly use: BufferUse;
  readonly #cancel: Cancellation | undefined;
  readonly #resolve: (buffer: DmaBuffer | number) => void;
  readonly #queue: Set<Waiter>;

  constructor(
    queue: Set<Waiter>,
    length: number,
    use: BufferUse,
    cancel: Cancellation | undefined,
    resolve: (buffer: DmaBuffer | number) => void,
  ) {
    this.#queue = queue;
    this.length = length;
    this.use = use;
    this.#cancel = cancel;
    this.#resolve = resolve;
    queue.add(this);
    cancel?.join(this);
  }

  settle(buffer: DmaBuffer | number): void {
    this.#queue.delete(this);
    this.#cancel?.leave(this);
    this.#resolve(buffer);
  }

  onCancelled(): void {
    this.settle(this.#cancel?.result ?? -Errno.ECANCELED);
  }
}

export interface GuestBuffersOptions {
  readonly allocator: DmaAllocator;
  readonly clock: Clock;
  readonly counters: Counters;
  /** Whether buffers that were lent to ended requests are ours again. */
  readonly buffersBack: () => boolean;
}

export class GuestBuffers {
  /** Frees cached blocks, at least so many bytes; `false` when nothing can go. Set by who owns the cache. */
  shed: (bytes: number) => boolean = () => false;
  readonly #allocator: DmaAllocator;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #buffersBack: () => boolean;
  readonly #waiters = new Set<Waiter>();
  readonly #reserve: DmaBuffer;
  #reserveFree = true;
  #closed = 0;
  #looking = false;

  /** @throws SystemError ENOMEM when not even the reserve can be had */
  constructor(options: GuestBuffersOptions, reserve: DmaBuffer) {
    this.#allocator = options.allocator;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.#buffersBack = options.buffersBack;
    this.#reserve = reserve;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** A buffer now, or `undefined`. */
  tryTake(length: number, use: BufferUse = "passing"): DmaBuffer | undefined {
    return this.#waiters.size > 0 ? undefined : this.#allocate(length, use);
  }

  /**
   * A buffer of `length` bytes, at most BUFFER_LIMIT; a negative errno when the wait was cancelled or the driver closed.
   * The reserve is as long as it is.
   */
  take(
    length: number,
    cancel: Cancellation | undefined,
    use: BufferUse = "passing",
  ): Promise<DmaBuffer | number> | DmaBuffer | number {
    if (this.#closed !== 0) return this.#closed;
    const buffer = this.tryTake(length, use);
    if (buffer !== undefined) return buffer;
    this.#counters.memoryWaits++;
    return new Promise((resolve) => {
      new Waiter(this.#waiters, length, use, cancel, resolve);
      if (this.#waiters.size === 1) this.#lookAgain();
    });
  }

  /** A request that had this buffer has ended. `false`: the device may still write it, so it stays lent, and lost. */
  reclaim(buffer: DmaBuffer): boolean {
    if (!this.#buffersBack()) return false;
    buffer.giveBack();
    return true;
  }

  /** Done with a buffer from here. */
  put(buffer: DmaBuffer): void {
    if (buffer === this.#reserve && this.#closed === 0) this.#reserveFree = true;
    else buffer.free();
    this.retry();
  }

  /** Serves those who wait, in order, as far as memory goes. Whether anybody was served. */
  retry(): boolean {
    let served = false;
    for (const waiter of this.#waiters) {
      const buffer = this.#allocate(waiter.length, waiter.use);
      if (buffer === undefined) break;
      waiter.settle(buffer);
      served = true;
    }
    return served;
  }

  /** Everybody who waits gets `errno` (negative), and so does who comes later. */
  close(errno: number): void {
    this.#closed = errno;
    for (const waiter of [...this.#waiters]) waiter.settle(errno);
    if (this.#reserveFree && this.#buffersBack()) {
      this.#reserveFree = false;
      this.#reserve.free();
    }
  }

  /** Others share the allocator, on other cores perhaps, and do not tell when they free something. */
  #lookAgain(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#clock.after(LOOK_AGAIN_MS, () => {
      this.#looking = false;
      this.retry();
      if (this.#waiters.size > 0) this.#lookAgain();
    });
  }

  #allocate(length: number, use: BufferUse): DmaBuffer | undefined {
    let buffer = this.#allocator.allocateDma(length, DATA_ALIGNMENT);
    while (buffer === undefined && this.shed(length)) buffer = this.#allocator.allocateDma(length, DATA_ALIGNMENT);
    if (buffer !== undefined || use === "lasting" || !this.#reserveFree || length > this.#reserve.length) return buffer;
    this.#reserveFree = false;
    return this.#reserve;
  }
}
