/**
 * The doorbell of a loop that blocks its thread: it waits for its own rings and for the interrupts of transports at once,
 * in one poll(2). How long to spin before that is the loop's business (the kernel's IdlePolicy adapts it).
 *
 * No wake-up is lost: descriptors stay readable until a transport's `arm` or `poll` drains them, so what came between the
 * last look and the wait ends the wait at once.
 */
import type { Doorbell } from "@toril/virtio/platform";
import { Eventfd } from "../ffi/eventfd.ts";
import { libc, MapFlag } from "../ffi/libc.ts";

/** Whoever interrupts through descriptors: a `VhostUserTransport`. */
export interface InterruptSource {
  readonly interruptFds: readonly number[];
}

const PAGE = 4096;
/** struct pollfd: fd, events, revents. */
const ENTRY = 8;
const POLLIN = 1;
const MAX_ENTRIES: number = PAGE / ENTRY;
/** poll(2) takes an int. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

export class EventfdBell implements Doorbell {
  readonly #own = new Eventfd();
  readonly #sources = new Set<InterruptSource>();
  readonly #entries: bigint;
  readonly #view: DataView;
  #count = 0;
  #open = true;
  /** What waits here without blocking. */
  #waiting: (() => void) | undefined;
  #watched = false;

  constructor() {
    this.#entries = libc().map(null, PAGE, MapFlag.Private | MapFlag.Anonymous, -1, 0);
    this.#view = new DataView(libc().view(this.#entries, PAGE));
  }

  attach(source: InterruptSource): void {
    this.#sources.add(source);
  }

  detach(source: InterruptSource): void {
    this.#sources.delete(source);
  }

  /** For another thread of this process, which rings by `ringEventfd`. */
  get fd(): number {
    return this.#own.fd;
  }

  /** Rings so far, as this thread has seen them: compare for equality only. */
  read(): number {
    return this.#count;
  }

  /** From this thread. */
  ring(): void {
    this.#count = (this.#count + 1) | 0;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) void Promise.resolve().then(waiting);
  }

  /**
   * Calls back once when the count is no longer `count`, from Node's event loop: for a loop that does not block. Sources
   * are not looked at: transports interrupt by the event loop there.
   */
  onRing(count: number, callback: () => void): { cancel(): void } {
    let live = true;
    const once = (): void => {
      if (live) callback();
      live = false;
    };
    if (count === this.#count && this.#open) {
      this.#waiting = once;
      if (!this.#watched) {
        this.#watched = true;
        this.#own.onRing(() => this.ring());
        this.#own.unref();
      }
    } else void Promise.resolve().then(once);
    return {
      cancel: () => {
        live = false;
      },
    };
  }

  /**
   * Blocks this thread until it is rung, or a source has an interrupt; not at all when the count is not `count` any more.
   * @param timeoutMs milliseconds; may be Infinity
   */
  wait(count: number, timeoutMs: number = Number.POSITIVE_INFINITY): "rung" | "timed-out" {
    if (count !== this.#count || !this.#open) return "rung";
    const entries = this.#fill();
    const limit = timeoutMs >= LONGEST_WAIT_MS ? -1 : Math.max(0, Math.ceil(timeoutMs));
    if (libc().waitForAny(this.#entries, entries, limit) === "timed-out") return "timed-out";
    this.#own.drain();
    this.ring();
    return "rung";
  }

  /** After the last wait. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#own.close();
    libc().unmap(this.#entries, PAGE);
  }

  #fill(): number {
    let entries = 0;
    const add = (fd: number): void => {
      if (fd < 0 || entries === MAX_ENTRIES) return;
      this.#view.setInt32(ENTRY * entries, fd, true);
      this.#view.setUint32(ENTRY * entries + 4, POLLIN, true);
      entries++;
    };
    add(this.#own.fd);
    for (const source of this.#sources) for (const fd of source.interruptFds) add(fd);
    return entries;
  }
}

/** Rings an `EventfdBell` of another thread, by its `fd`. */
export function ringEventfd(fd: number): void {
  libc().ring(fd);
}
