/**
 * The loop of an exclusive core: it has its thread for itself. Between turns it lets microtasks run; when idle it spins
 * for a bounded, adaptive while and then blocks the thread on its bell: a wake word, or eventfds. Programs on such a core use system calls
 * only: the engine's own streams, timers and messages would starve (only `core.external` lets them run).
 */
import type { BlockingBell } from "./bell.ts";
import type { Core } from "./core.ts";
import type { RunningLoop } from "./hosted-loop.ts";
import { ADAPTIVE_SPIN, IdlePolicy, type SpinLimits } from "./idle-policy.ts";

export interface ExclusiveLoopOptions {
  /** The core's bell: what other threads ring, and what this loop blocks on. */
  readonly bell: BlockingBell;
  /**
   * Settles after one round of the engine's event loop (setImmediate), so that all microtasks have run: only then is it
   * known that no thread of the core can go on by itself.
   */
  readonly drained: () => Promise<void>;
  /** ADAPTIVE_SPIN unless told. */
  readonly spin?: SpinLimits;
}

/** A busy core lets the engine's event loop run once in so many turns: for messages of the thread that started it. */
const TURNS_PER_EVENT = 2_000;

/** @throws Error when `bell` is not the core's bell. */
export function runExclusive<System>(core: Core<System>, options: ExclusiveLoopOptions): RunningLoop {
  if (options.bell !== core.bell) throw new Error(`core ${core.id} has another bell: nobody would wake this loop`);
  return new ExclusiveLoop(core, options);
}

class ExclusiveLoop<System> implements RunningLoop {
  readonly idle: IdlePolicy;
  readonly ended: Promise<void>;
  readonly #core: Core<System>;
  readonly #options: ExclusiveLoopOptions;
  #state: "running" | "stopping" = "running";

  constructor(core: Core<System>, options: ExclusiveLoopOptions) {
    this.#core = core;
    this.#options = options;
    this.idle = new IdlePolicy(options.spin ?? ADAPTIVE_SPIN, () => core.clock.now());
    this.ended = this.#run();
  }

  stop(): void {
    this.#state = "stopping";
    this.#options.bell.ring();
  }

  async #run(): Promise<void> {
    const core = this.#core;
    const { drained } = this.#options;
    let turnsLeft = TURNS_PER_EVENT;
    await drained(); // whoever started the loop finishes first
    while (this.#state === "running") {
      if (--turnsLeft === 0 || core.waitsForEngine) {
        turnsLeft = TURNS_PER_EVENT;
        await drained();
      }
      if (core.turn()) {
        this.idle.worked();
        await undefined;
      } else if (this.idle.spin()) {
        await undefined;
      } else {
        await drained();
        // What ran meanwhile may have made work of any kind: only a turn without progress, then arming, permits a wait.
        if (this.#state === "running" && !core.turn() && !core.arm() && !core.waitsForEngine) this.#block();
      }
    }
    await drained(); // what the last turn resumed goes as far as it can
  }

  #block(): void {
    const { clock, seen } = this.#core;
    const timeout = this.#core.untilDeadline;
    if (timeout <= 0) return;
    const since = clock.now();
    const outcome = this.#options.bell.wait(seen, timeout);
    this.idle.waited(clock.now() - since, outcome === "rung" ? "rung" : "timer");
  }
}
