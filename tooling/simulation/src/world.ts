/** What a scenario works with: the simulated world, what goes wrong in it, and where findings go. */
import type { SeededRandom } from "@toril/kernel";
import type { Main } from "@toril/machine";
import type { SimulatedFiles, SimulatedMachine, Simulation } from "@toril/machine/testing";
import type { MemoryFileSystem } from "@toril/virtio-fs/device";
import type { FaultPlan } from "./faults.ts";
import type { Findings } from "./findings.ts";

export interface World {
  readonly simulation: Simulation;
  readonly faults: FaultPlan;
  readonly findings: Findings;
  readonly machine: SimulatedMachine;
  readonly files: SimulatedFiles;
  readonly disk: MemoryFileSystem;
}

/** Someone outside of the machine who wants something of it. */
export interface Visitor {
  readonly name: string;
  /** Settles when it has what it wanted, or knows that it will not get it. Never rejects. */
  readonly finished: Promise<void>;
  start(): void;
}

/** One kind of appliance, and those who use it. */
export interface Scenario {
  readonly name: string;
  /** Fills the disk before the machine boots. */
  prepare(disk: MemoryFileSystem): void;
  readonly main: Main;
  args(faults: FaultPlan, random: SeededRandom, simulation: Simulation): unknown;
  visitors(world: World): readonly Visitor[];
  /** Whether the program ends by itself once there is nobody any more. */
  readonly ends: "by itself" | "when asked";
  /** After the visitors have gone and all is quiet. */
  check?(world: World): void;
}

/** True once in `n`. */
export function once(random: SeededRandom, n: number): boolean {
  return random.next(n) === 0;
}

/** From `least` to `most`. */
export function between(random: SeededRandom, least: number, most: number): number {
  return least + random.next(most - least + 1);
}
