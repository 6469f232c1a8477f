/** What goes wrong in a run, and how badly: drawn from the seed, one kind after the other. */
import type { Simulation } from "@toril/machine/testing";

/** Each can be left out of a run by its name (`--without`); the others then stay as they were. */
export const FAULTS = [
  "late-bells", // notifications and interrupts are late, and out of order
  "slow-registers", // set-up and reset take their time
  "small-rings", // rings of a few entries: full most of the time
  "slow-files", // the host's disk answers late, and out of order
  "file-errors", // EIO, ENOSPC and others
  "no-memory", // the allocator refuses now and then
  "stalls", // a thread of the host gets no turn for a while
  "slow-clients", // clients that stop reading for a while, and hold what they got
  "aborts", // clients that reset or half-close their connections at any point
  "little-credit", // small windows in both directions
  "flood", // many connections at once, more than the server takes
  "transport-reset", // the vsock device tells of a migration
  "device-reset", // a device needs a reset
] as const;

export type Fault = (typeof FAULTS)[number];

export class FaultPlan {
  readonly #on: ReadonlySet<Fault>;

  constructor(on: Iterable<Fault>) {
    this.#on = new Set(on);
  }

  /** One seed in eight has no faults at all; then everything must go right. */
  static draw(simulation: Simulation, without: ReadonlySet<string>): FaultPlan {
    const random = simulation.random("faults");
    const calm = random.next(8) === 0;
    const on: Fault[] = [];
    for (const fault of FAULTS) {
      // Those that end everything are rarer: behind them nothing else happens.
      const chance = fault === "device-reset" || fault === "transport-reset" ? 6 : 3;
      const drawn = random.next(chance) === 0;
      if (drawn && !calm && !without.has(fault)) on.push(fault);
    }
    return new FaultPlan(on);
  }

  has(fault: Fault): boolean {
    return this.#on.has(fault);
  }

  /** Whether any of these is there. */
  any(...faults: readonly Fault[]): boolean {
    return faults.some((fault) => this.#on.has(fault));
  }

  get names(): readonly Fault[] {
    return [...this.#on];
  }
}
