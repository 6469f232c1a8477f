/** Eventfds: the doorbells of vhost-user. */
import { readlinkSync } from "node:fs";
import { libc } from "./libc.ts";
import { type Watch, watch } from "./watch.ts";

/** An eventfd that is owned: closed once, never rung after that (its number may be somebody else's by then). */
export class Eventfd {
  #fd: number;
  #watch: Watch | undefined;

  /** @param fd one that was received and is owned from now on; a new one unless given */
  constructor(fd: number = libc().createEventfd()) {
    this.#fd = fd;
  }

  /** To send to a peer; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  ring(): void {
    if (this.#fd >= 0) libc().ring(this.#fd);
  }

  /** Whether it was rung since the last time; never waits, if it is a non-blocking one. */
  drain(): boolean {
    return this.#fd >= 0 && libc().drain(this.#fd);
  }

  /** Calls back after it was rung, from the event loop, already drained. */
  onRing(callback: () => void): void {
    this.#watch = watch(this.#fd, () => {
      if (this.drain()) callback();
    });
  }

  unref(): void {
    this.#watch?.unref();
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#watch?.close();
    libc().close(this.#fd);
    this.#fd = -1;
  }
}

/** Whether a descriptor that a peer sent is an eventfd: watching a file, say, would end this process. */
export function isEventfd(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("anon_inode:[eventfd]");
  } catch {
    return false;
  }
}
