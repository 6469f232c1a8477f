/** What is to be measured. */
import type { MachineKind } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import type { PresetName } from "./conditions.ts";
import type { Mode } from "./job.ts";

export const TX_PATHS: readonly TxPath[] = ["two-copy", "one-copy", "zero-copy"];
export const MACHINES: readonly MachineKind[] = ["inline", "dedicated", "vhost-user"];
/** The sizes of the reference measurements, from what costs nothing to copy to what does not fit in a cache. */
export const SIZES: readonly number[] = [64, 4096, 8192, 16_384, 65_536, 262_144, 1_048_576];
/** A message lies in one guest buffer, and a machine has 64 MiB. */
export const MAX_SIZE: number = 16 * 2 ** 20;

/** Modules that threads and processes load by their URL, and the folder of the C peers' sources. */
export interface Modules {
  /** ends.ts: the guest's program and the host's end. */
  readonly ends: URL;
  /** process.ts */
  readonly process: URL;
  readonly sources: URL;
}

export interface PingPongOptions {
  readonly modules: Modules;
  readonly machines: readonly MachineKind[];
  /** `required`: a machine that cannot run is an error. `optional`: it is named, and the others are measured. */
  readonly machinesAre: "required" | "optional";
  readonly tx: readonly TxPath[];
  readonly sizes: readonly number[];
  readonly modes: readonly Mode[];
  /** Messages of each run; as many as fit into its share of the time unless given. */
  readonly count?: number;
  readonly rounds?: number;
  readonly peers: "all" | "none";
  readonly preset: PresetName;
  /** A file for the vsock packets; with several machines each has its own, its name before the extension. */
  readonly capture?: string;
  /** Processors for the two sides of each machine with threads, and of each peer; anywhere unless given. */
  readonly cpus?: readonly [number, number];
}

/** How the work goes. */
export interface Watcher {
  /** What is done now, and how far it is: a number from 0 to 1. */
  progress(what: string, share: number): void;
  /** Ends the measurement: what was measured so far is the result. */
  readonly signal: AbortSignal;
}
