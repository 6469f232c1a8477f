/** What the experiment finds out. */
import type { TxPath } from "@toril/vsock";
import type { Counted, RunFigures } from "../measures.ts";
import type { Step } from "./steps.ts";

/** Round trips of one step, path and size. */
export interface RoundTrips {
  readonly kind: "rtt";
  readonly step: Step;
  readonly tx: TxPath;
  readonly size: number;
  readonly figures: RunFigures[];
  counted: Counted | undefined;
}

/** Pages of one step and path. */
export interface Pages {
  readonly kind: "page";
  readonly step: Step;
  readonly tx: TxPath;
  /** Milliseconds per page, by round. */
  readonly msPerPage: number[];
  /** Sums over all pages: waits of the guest, from the counters of its driver and its loop. */
  readonly sums: PageSums;
  pages: number;
}

export interface PageSums {
  creditWaits: number;
  creditWaitMs: number;
  wakeUps: number;
  asleepMs: number;
  copiedBytes: number;
}

export type ExperimentCell = RoundTrips | Pages;

export interface ExperimentOutcome {
  readonly machine: string;
  readonly cells: readonly ExperimentCell[];
  readonly steps: readonly Step[];
  readonly sizes: readonly number[];
  readonly rounds: number;
  /** Where core and device were kept; absent: wherever the system put them. */
  readonly cpus: readonly [number, number] | undefined;
  readonly elapsedMs: number;
  readonly completeness: "complete" | "partial";
}
