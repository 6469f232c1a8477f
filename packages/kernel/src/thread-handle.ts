/** A thread as others hold it: on this core or on another one. */
import { Errno, SystemError } from "@toril/virtio/platform";
import type { ThreadExit } from "./thread-calls.ts";

/** Method syntax: a handle of a thread that returns a string is also one of a thread that returns something. */
interface Settle<T> {
  resolve(exit: ThreadExit<T>): void;
  reject(error: SystemError): void;
}

export class ThreadHandle<T = unknown> {
  readonly core: number;
  /** Unique on its core. */
  readonly id: number;
  readonly name: string;
  /** Settles when the thread has ended; rejects only when its core is lost. For those who are no thread themselves. */
  readonly ended: Promise<ThreadExit<T>>;
  readonly #onCancel: (reason: unknown) => void;
  readonly #watchers = new Set<() => void>();
  #exit: ThreadExit<T> | undefined;
  #lost: SystemError | undefined;
  readonly #settle: Settle<T>;

  /** Made by the core. */
  constructor(core: number, id: number, name: string, onCancel: (reason: unknown) => void) {
    this.core = core;
    this.id = id;
    this.name = name;
    this.#onCancel = onCancel;
    let settle: Settle<T> | undefined;
    this.ended = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    if (settle === undefined) throw new Error("a promise did not call its executor");
    this.#settle = settle;
    this.ended.catch(() => {});
  }

  /** How it ended; `undefined` while it runs, or when its core is lost. */
  get exit(): ThreadExit<T> | undefined {
    return this.#exit;
  }

  get running(): boolean {
    return this.#exit === undefined && this.#lost === undefined;
  }

  /** Asks it to end, as `threads.cancel` does. Does nothing when it has ended. */
  cancel(reason?: unknown): void {
    if (this.running) this.#onCancel(reason);
  }

  /** Why nobody will ever know how it ended: its core is gone. */
  get lost(): SystemError | undefined {
    return this.#lost;
  }

  /** Calls back once when the thread has ended or is lost; not from within this call, so look first. */
  watch(watcher: () => void): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: () => void): void {
    this.#watchers.delete(watcher);
  }

  /** For the core: it ended. */
  finish(exit: ThreadExit<T>): void {
    if (!this.running) return;
    this.#exit = exit;
    this.#settle.resolve(exit);
    this.#tell();
  }

  /** For the core: nobody will ever know how it ended, because its core is gone. */
  lose(reason: string): void {
    if (!this.running) return;
    const error = new SystemError(Errno.EHOSTDOWN, "join", `core ${this.core}, which ran ${this.name}, ${reason}`);
    this.#lost = error;
    this.#settle.reject(error);
    this.#tell();
  }

  #tell(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }
}
