/**
 * select: one wait on many sockets. Each socket knows who watches it, so an event costs as much as there are ready sockets,
 * not as much as there are watched ones. What is announced is looked at once more before the wait ends: another thread
 * may have taken the bytes meanwhile, and then the wait just goes on.
 */
import type { Readiness, WaitOptions } from "./calls.ts";
import type { SocketHandle } from "./handle.ts";
import { Wait, type WaitScope } from "./wait.ts";

export type Side = "read" | "write";

export class SelectWait extends Wait<Readiness> {
  readonly #read: readonly SocketHandle[];
  readonly #write: readonly SocketHandle[];
  readonly #announced: Record<Side, Set<SocketHandle>> = { read: new Set(), write: new Set() };
  #phase: "waiting" | "announced" | "over" = "waiting";

  constructor(
    scope: WaitScope,
    read: readonly SocketHandle[],
    write: readonly SocketHandle[],
    options: WaitOptions | undefined,
  ) {
    super("select", scope, undefined, options);
    this.#read = read;
    this.#write = write;
    for (const handle of read) handle.watchers("read").add(this);
    for (const handle of write) handle.watchers("write").add(this);
  }

  /** A socket may have become ready. All that do so in the same turn come out together. */
  announce(handle: SocketHandle, side: Side): void {
    this.#announced[side].add(handle);
    if (this.#phase !== "waiting") return;
    this.#phase = "announced";
    void Promise.resolve().then(() => this.attempt());
  }

  attempt(): boolean {
    if (this.#phase !== "announced") return false;
    const { read, write } = this.#announced;
    const readable = [...read].filter((handle) => handle.readable);
    const writable = [...write].filter((handle) => handle.writable);
    read.clear();
    write.clear();
    this.#phase = "waiting";
    if (readable.length + writable.length === 0) return false;
    this.succeed({ readable, writable });
    return true;
  }

  protected override timedOut(): void {
    this.succeed({ readable: [], writable: [] });
  }

  protected override released(): void {
    this.#phase = "over";
    for (const handle of this.#read) handle.watchers("read").delete(this);
    for (const handle of this.#write) handle.watchers("write").delete(this);
  }
}
