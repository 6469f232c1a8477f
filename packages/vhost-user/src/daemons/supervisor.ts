/** Keeps a daemon running: starts another one when it ends, after a pause that grows while that does not help. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Log, silentLog } from "@toril/virtio/platform";
import { type Daemon, DaemonError } from "./daemon.ts";

export interface SuperviseOptions<D extends Daemon> {
  /** How it is called in messages. */
  readonly name: string;
  /** Starts one, each time a new one. */
  readonly start: () => Promise<D>;
  /** Another one is up in the place of one that ended: connect to it. What this throws counts as a failure of it. */
  readonly replaced: (daemon: D) => Promise<void>;
  /** No more attempts are made, and why. */
  readonly gaveUp?: (reason: string) => void;
  /** Attempts in a row that may fail; 5 unless told. */
  readonly attempts?: number;
  readonly log?: Log;
}

export interface Supervisor<D extends Daemon> {
  /** The one that is running, or ran last. */
  readonly daemon: D;
  /** How often it was replaced. */
  readonly restarts: number;
  /** Ends the daemon, and the supervision. */
  stop(): Promise<void>;
}

const ATTEMPTS = 5;
/** Milliseconds before the first attempt, and the longest pause between two: it doubles in between. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;
/** A daemon that ran for this long was well: its end begins a new row of attempts. */
const WELL_AFTER_MS = 10_000;

/** @throws DaemonError when the first one does not start */
export async function supervise<D extends Daemon>(options: SuperviseOptions<D>): Promise<Supervisor<D>> {
  const supervision = new Supervision(options, await options.start());
  supervision.run();
  return supervision;
}

class Supervision<D extends Daemon> implements Supervisor<D> {
  readonly #options: SuperviseOptions<D>;
  readonly #log: Log;
  readonly #stopped = new AbortController();
  #daemon: D;
  #running: Promise<void> | undefined;
  restarts = 0;

  constructor(options: SuperviseOptions<D>, daemon: D) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#daemon = daemon;
  }

  get daemon(): D {
    return this.#daemon;
  }

  run(): void {
    this.#running = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#daemon.stop();
    await this.#running;
    // A start was under way when it was stopped: that one ends, too.
    await this.#daemon.stop();
  }

  get #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  async #watch(): Promise<void> {
    const { name, attempts = ATTEMPTS, gaveUp } = this.#options;
    for (let failed = 0; !this.#isStopped; ) {
      const began = performance.now();
      const outcome = await this.#daemon.ended;
      if (this.#isStopped) return;
      if (performance.now() - began > WELL_AFTER_MS) failed = 0;
      this.#log.warn("a daemon ended", { daemon: name, outcome, said: this.#daemon.said.trim() });
      await this.#daemon.stop();
      let reason = outcome;
      do {
        if (failed++ === attempts) {
          this.#log.error("a daemon is not started again", { daemon: name, reason });
          gaveUp?.(reason);
          return;
        }
        await this.#pause(failed);
        reason = await this.#replace();
      } while (reason !== "" && !this.#isStopped);
    }
  }

  /** Why it failed; empty when another one is up. */
  async #replace(): Promise<string> {
    if (this.#isStopped) return "";
    let daemon: D;
    try {
      daemon = await this.#options.start();
    } catch (error) {
      // Whatever it is (no memory, no descriptors, no room for its folder): it may be better the next time.
      return error instanceof DaemonError ? error.message : String(error);
    }
    this.#daemon = daemon;
    if (this.#isStopped) return "";
    try {
      await this.#options.replaced(daemon);
      this.restarts++;
      return "";
    } catch (error) {
      await daemon.stop();
      return String(error);
    }
  }

  async #pause(failed: number): Promise<void> {
    const milliseconds = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failed - 1));
    await sleep(milliseconds, undefined, { signal: this.#stopped.signal }).catch(() => {});
  }
}
