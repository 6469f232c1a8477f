/**
 * One core: the devices dedicated to it, its timers, its run queue, its threads. A core does nothing by itself: a loop
 * (hosted-loop.ts, exclusive-loop.ts, deterministic-loop.ts) calls `turn` and decides when to wait.
 *
 * A turn polls the devices, resumes the threads that are ready, and fires the timers that are due. What a thread does
 * after it is resumed runs as a microtask behind the turn, so no thread ever runs inside a device's call.
 */
import { type Clock, Errno, type Log, type Pollable, SystemError, silentLog } from "@toril/virtio/platform";
import { type Bell, LocalBell } from "./bell.ts";
import { type DedicatedDevice, DedicatedDevices } from "./dedicated.ts";
import { LocalThread, type ThreadHost } from "./local-thread.ts";
import { SeededRandom } from "./random.ts";
import { type Resume, RunQueue } from "./run-queue.ts";
import type {
  PlainSystem,
  RemoteMain,
  SpawnOptions,
  ThreadAccount,
  ThreadCalls,
  ThreadExit,
  ThreadMain,
} from "./thread-calls.ts";
import type { ThreadHandle } from "./thread-handle.ts";
import { TimerQueue } from "./timers.ts";
import type { WaitTerms } from "./wait.ts";
import { WaitQueue } from "./wait-queue.ts";

/** One thread's exception. */
export interface ThreadFailure {
  readonly core: number;
  readonly id: number;
  readonly name: string;
  readonly error: Error;
}

/** Starts threads on other cores; the bus does it. */
export interface RemoteSpawner {
  spawn(core: number, main: RemoteMain, terms: WaitTerms): Promise<ThreadHandle>;
}

export interface CoreOptions<System> {
  /** From 0. */
  readonly id: number;
  /** Milliseconds, with fractions, that never go back. */
  readonly now: () => number;
  /** What the core's loop waits on; rung by this thread only unless told. */
  readonly bell?: Bell;
  readonly log?: Log;
  /** Makes the object that a thread's main gets, of the calls that are the thread's own. */
  readonly system: (threads: ThreadCalls<System>) => System;
  /** Called for every thread that ends by an exception, after the log. */
  readonly onThreadFailure?: (failure: ThreadFailure) => void;
  /** Called for every thread that ends. */
  readonly onThreadExit?: (thread: ThreadHandle, exit: ThreadExit) => void;
  /** Gives each round of ready threads an order of its own; the same seed, the same order. First come first served unless told. */
  readonly seed?: number;
}

/** Counters that only grow, and what is there now. */
export interface CoreStats {
  readonly turns: number;
  readonly busyTurns: number;
  readonly timersFired: number;
  /** Timers that are set. */
  readonly timers: number;
  readonly threadsStarted: number;
  readonly threadsFailed: number;
  readonly threads: number;
  readonly devices: readonly DedicatedDevice[];
}

/** A thread in a listing. */
export interface ThreadInfo {
  readonly id: number;
  readonly name: string;
  /** The kernel call it waits in; `undefined`: it runs, or waits for a device. */
  readonly waitingIn: string | undefined;
  readonly account: ThreadAccount;
}

export class Core<System = PlainSystem> {
  readonly id: number;
  readonly bell: Bell;
  readonly log: Log;
  readonly #timers: TimerQueue;
  readonly #runQueue: RunQueue;
  readonly #devices: DedicatedDevices;
  readonly #options: CoreOptions<System>;
  readonly #threadHost: ThreadHost<System>;
  readonly #threads = new Map<number, LocalThread<System, unknown>>();
  #remote: RemoteSpawner | undefined;
  #nextThread = 1;
  #external = 0;
  #seen = 0;
  #turns = 0;
  #busyTurns = 0;
  #failed = 0;

  constructor(options: CoreOptions<System>) {
    const { id, now, bell = new LocalBell(), log = silentLog, seed } = options;
    this.id = id;
    this.bell = bell;
    this.log = log;
    this.#options = options;
    const wake = (): void => this.bell.ring();
    const onError = (error: unknown): void =>
      log.error("a timer's callback failed", { core: id, reason: String(error) });
    this.#timers = new TimerQueue({ now, onEarlier: wake, onError });
    this.#runQueue = new RunQueue(wake, seed === undefined ? undefined : new SeededRandom(seed));
    this.#devices = new DedicatedDevices((device, error) => {
      log.error("a dedicated device failed and is not polled any more", { core: id, device, reason: String(error) });
    });
    this.#threadHost = {
      id,
      clock: this.#timers,
      schedule: this.#runQueue.push,
      spawn: (main, spawnOptions) => this.spawn(main, spawnOptions),
      spawnOn: (core, main, terms) => this.#spawnOn(core, main, terms),
    };
  }

  /** The core's time and timers. Callbacks run in its turns. */
  get clock(): Clock {
    return this.#timers;
  }

  get stats(): CoreStats {
    return {
      turns: this.#turns,
      busyTurns: this.#busyTurns,
      timersFired: this.#timers.fired,
      timers: this.#timers.pending,
      threadsStarted: this.#nextThread - 1,
      threadsFailed: this.#failed,
      threads: this.#threads.size,
      devices: this.#devices.list,
    };
  }

  /** The threads that have not ended. */
  get threads(): readonly ThreadInfo[] {
    return [...this.#threads.values()].map(({ id, name, waitingIn, account }) => ({ id, name, waitingIn, account }));
  }

  /** Puts something that resumes a thread into the run queue; it must not throw. */
  schedule(resume: Resume): void {
    this.#runQueue.push(resume);
  }

  /** A wait queue of this core. @param syscall what error messages call the wait. */
  createWaitQueue(syscall = "wait"): WaitQueue {
    return new WaitQueue({ clock: this.#timers, schedule: this.#runQueue.push, syscall });
  }

  /**
   * Dedicates a driver, a device or a bus end to this core: it is polled here, and nowhere else.
   * @returns a call that takes it out again.
   * @throws Error when it is dedicated to a core already.
   */
  dedicate(pollable: Pollable, name: string): () => void {
    const release = this.#devices.add(pollable, name);
    this.bell.ring();
    this.log.debug(`core ${this.id}: ${name} is dedicated to it`);
    return release;
  }

  /** Lets threads start others on other cores. */
  connectRemote(remote: RemoteSpawner): void {
    this.#remote = remote;
  }

  /** A new thread; it starts in the next turn. */
  spawn<T>(main: ThreadMain<System, T>, options: SpawnOptions = {}): ThreadHandle<T> {
    const id = this.#nextThread++;
    const thread = new LocalThread<System, T>(this.#threadHost, id, options.name ?? `thread ${id}`);
    this.#threads.set(id, thread as LocalThread<System, unknown>);
    this.#runQueue.push(() => {
      void thread.run((threads) => main(this.#options.system(threads))).then((exit) => this.#ended(thread, exit));
    });
    return thread.handle;
  }

  /** Cancels every thread. */
  cancelAll(reason: unknown): void {
    for (const thread of [...this.#threads.values()]) thread.handle.cancel(reason);
  }

  /**
   * Waits for something that comes through the engine's own event loop, such as the import of a module: an exclusive core
   * lets that loop run meanwhile instead of blocking.
   */
  async external<T>(promise: Promise<T>): Promise<T> {
    this.#external++;
    this.bell.ring();
    try {
      return await promise;
    } finally {
      this.#external--;
    }
  }

  /** Whether somebody waits for the engine's event loop. */
  get waitsForEngine(): boolean {
    return this.#external > 0;
  }

  /** One turn. Whether it made progress: then take another one before waiting. */
  turn(): boolean {
    // Read before anything is polled: whatever is rung from now on shows when the loop waits from this count.
    this.#seen = this.bell.read();
    this.#turns++;
    const polled = this.#devices.poll();
    const resumed = this.#runQueue.run();
    const fired = this.#timers.fire();
    const progress = polled || resumed || fired || this.#runQueue.length > 0;
    if (progress) this.#busyTurns++;
    return progress;
  }

  /** Before a wait: asks all devices to ring from now on. `true`: there is work, do not wait. */
  arm(): boolean {
    const found = this.#devices.arm();
    return found || this.#runQueue.length > 0 || this.bell.read() !== this.#seen;
  }

  /** The bell's count from which to wait: what it was when the last turn began. */
  get seen(): number {
    return this.#seen;
  }

  /** Milliseconds until the next timer is due; Infinity when none is set. */
  get untilDeadline(): number {
    const due = this.#timers.nextDue;
    return due === Number.POSITIVE_INFINITY ? due : Math.max(0, due - this.#timers.now());
  }

  async #spawnOn(core: number, main: RemoteMain, terms: WaitTerms): Promise<ThreadHandle> {
    if (this.#remote === undefined) {
      throw new SystemError(Errno.ENODEV, "spawn", `core ${core} cannot be reached: this machine has no bus`);
    }
    return this.#remote.spawn(core, main, terms);
  }

  #ended<T>(thread: LocalThread<System, T>, exit: ThreadExit<T>): void {
    this.#threads.delete(thread.id);
    const { id, name } = thread;
    if (exit.kind === "failed") {
      this.#failed++;
      this.log.error("a thread failed", {
        core: this.id,
        thread: name,
        reason: exit.error.stack ?? String(exit.error),
      });
      this.#report(() => this.#options.onThreadFailure?.({ core: this.id, id, name, error: exit.error }));
    }
    thread.handle.finish(exit);
    this.#report(() => this.#options.onThreadExit?.(thread.handle, exit));
  }

  /** Observers are outsiders: what they throw must not end up in a thread, or nowhere. */
  #report(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.log.error("an observer of threads failed", { core: this.id, reason: String(error) });
    }
  }
}
