/**
 * Runs one or more cores of this thread in virtual time: turn after turn, and when nothing is left to do the clock jumps
 * to the next deadline. With the same seeds and the same inputs a run goes the same way each time.
 */
import type { Core } from "./core.ts";

/** A clock's source that moves only when a loop moves it. */
export class VirtualTime {
  #now: number;

  /** @param start milliseconds. */
  constructor(start = 0) {
    this.#now = start;
  }

  /** Milliseconds; give it to the core as `now`. */
  readonly now: () => number = () => this.#now;

  /** Never goes back. */
  advanceTo(time: number): void {
    if (time > this.#now) this.#now = time;
  }
}

export interface DeterministicOptions {
  readonly time: VirtualTime;
  /** Settles when all microtasks have run (setImmediate). */
  readonly drained: () => Promise<void>;
  /** Ends the run when it returns true; looked at after every round. */
  readonly until?: () => boolean;
  /** Ends the run at this time at the latest, in milliseconds. */
  readonly deadline?: number;
}

/**
 * Why a run ended. `idle`: nothing is ready, and no timer is set; what still waits would wait for ever (or for something
 * from outside).
 */
export type RunOutcome = "until" | "deadline" | "idle";

export async function runDeterministic(
  cores: readonly Pick<Core, "turn" | "arm" | "untilDeadline">[],
  options: DeterministicOptions,
): Promise<RunOutcome> {
  const { time, drained, until, deadline = Number.POSITIVE_INFINITY } = options;
  for (;;) {
    await drained();
    if (until?.() === true) return "until";
    if (oneRound(cores)) continue;
    const next = time.now() + Math.min(...cores.map((core) => core.untilDeadline));
    if (next > deadline) {
      time.advanceTo(deadline);
      return "deadline";
    }
    if (next === Number.POSITIVE_INFINITY) return "idle";
    time.advanceTo(next);
  }
}

/** A turn of each core, in order; then, if none made progress, arms each. Whether there is more to do. */
function oneRound(cores: readonly Pick<Core, "turn" | "arm">[]): boolean {
  let progress = false;
  for (const core of cores) if (core.turn()) progress = true;
  if (progress) return true;
  for (const core of cores) if (core.arm()) progress = true;
  return progress;
}
