/** A thread of this core: its calls, its account, and what becomes of it. */
import { type AbortSignalLike, CancelSource, type Clock, Errno, SystemError, type Timer } from "@toril/virtio/platform";
import type { Resume } from "./run-queue.ts";
import type { RemoteMain, SpawnOptions, ThreadAccount, ThreadCalls, ThreadExit, ThreadMain } from "./thread-calls.ts";
import { ThreadHandle } from "./thread-handle.ts";
import { cancelledError, Wait, type WaitOptions, type WaitTerms } from "./wait.ts";
import type { WaitQueue } from "./wait-queue.ts";

/** What a thread needs of its core. */
export interface ThreadHost<System> {
  readonly id: number;
  readonly clock: Clock;
  /** Needs no `this`. */
  readonly schedule: (resume: Resume) => void;
  spawn<T>(main: ThreadMain<System, T>, options?: SpawnOptions): ThreadHandle<T>;
  spawnOn(core: number, main: RemoteMain, terms: WaitTerms): Promise<ThreadHandle>;
}

export class LocalThread<System, T> implements ThreadCalls<System> {
  readonly id: number;
  readonly name: string;
  readonly core: number;
  readonly handle: ThreadHandle<T>;
  readonly #host: ThreadHost<System>;
  readonly #cancelSource = new CancelSource();
  readonly #account: { turns: number; waits: number; startedAt: number };
  /** What it waits in, for `core.threads`; undefined while it runs or waits for something that is not the kernel's. */
  #waitingIn: string | undefined;

  constructor(host: ThreadHost<System>, id: number, name: string) {
    this.id = id;
    this.name = name;
    this.core = host.id;
    this.#host = host;
    this.#account = { turns: 0, waits: 0, startedAt: host.clock.now() };
    this.handle = new ThreadHandle<T>(host.id, id, name, (reason) => this.#cancelSource.cancel(reason));
  }

  get signal(): AbortSignalLike {
    return this.#cancelSource.signal;
  }

  get account(): ThreadAccount {
    return this.#account;
  }

  get waitingIn(): string | undefined {
    return this.#waitingIn;
  }

  /** Runs the thread's main to its end. Never rejects. */
  async run(main: (calls: ThreadCalls<System>) => Promise<T> | T): Promise<ThreadExit<T>> {
    this.#account.turns++;
    try {
      this.checkCancelled();
      return { kind: "returned", value: await main(this) };
    } catch (error) {
      const { signal } = this;
      if (signal.aborted && error instanceof SystemError && error.errno === Errno.ECANCELED) {
        return { kind: "cancelled", reason: signal.reason };
      }
      return { kind: "failed", error: error instanceof Error ? error : new Error(String(error), { cause: error }) };
    }
  }

  now(): number {
    return this.#host.clock.now();
  }

  yield(): Promise<void> {
    // Resumed in the next turn in any case, so it needs no list, no timer, and no listener for the cancel.
    if (this.signal.aborted) return this.#begin<void>("yield", {}).promise;
    this.#account.waits++;
    this.#account.turns++;
    return new Promise(this.#host.schedule);
  }

  sleep(milliseconds: number, options: { readonly signal?: AbortSignalLike } = {}): Promise<void> {
    let timer: Timer | undefined;
    const wait = this.#begin<void>("sleep", options, () => timer?.cancel());
    if (!wait.over) timer = this.#host.clock.after(milliseconds, () => void wait.end(undefined));
    return wait.promise;
  }

  wait(queue: WaitQueue, options?: WaitOptions): Promise<void> {
    this.#account.waits++;
    return queue.wait(options, this.signal);
  }

  spawn<U>(main: ThreadMain<System, U>, options?: SpawnOptions): ThreadHandle<U> {
    this.checkCancelled();
    return this.#host.spawn(main, options);
  }

  spawnOn(core: number, main: RemoteMain, options: WaitOptions = {}): Promise<ThreadHandle> {
    this.#account.waits++;
    return this.#host.spawnOn(core, main, this.#terms("spawn", options));
  }

  async join<U>(thread: ThreadHandle<U>, options: WaitOptions = {}): Promise<ThreadExit<U>> {
    if (thread.core === this.core && thread.id === this.id) {
      throw new SystemError(Errno.EDEADLK, "join", `${this.name} would wait for itself`);
    }
    let wait: Wait<ThreadExit<U>> | undefined;
    const look = (): void => {
      if (thread.exit !== undefined) wait?.end(thread.exit);
      else if (thread.lost !== undefined) wait?.fail(thread.lost);
    };
    wait = this.#begin("join", options, () => thread.unwatch(look));
    if (!wait.over) thread.watch(look);
    look();
    return wait.promise;
  }

  cancel(thread: ThreadHandle, reason?: unknown): void {
    thread.cancel(reason);
  }

  checkCancelled(): void {
    if (this.signal.aborted) throw cancelledError("check", this.signal);
  }

  #begin<U>(syscall: string, options: WaitOptions, onEnd?: () => void): Wait<U> {
    this.#account.waits++;
    return new Wait<U>(this.#terms(syscall, options, onEnd));
  }

  #terms(syscall: string, options: WaitOptions, onEnd?: () => void): WaitTerms {
    this.#waitingIn = syscall;
    return {
      ...options,
      syscall,
      clock: this.#host.clock,
      threadSignal: this.signal,
      schedule: (resume) => {
        this.#waitingIn = undefined;
        this.#account.turns++;
        this.#host.schedule(resume);
      },
      onEnd: onEnd ?? (() => {}),
    };
  }
}
