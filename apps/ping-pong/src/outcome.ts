/** What is measured, and what comes of it. */
import type { MachineKind } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import type { Conditions, PresetName } from "./conditions.ts";
import type { Job, Mode } from "./job.ts";
import type { Counted, RunFigures } from "./measures.ts";
import type { PeerName } from "./peers/peer.ts";
import type { Stages } from "./stages.ts";

/** All rounds of one cell and payload. */
export interface Rounds {
  readonly figures: RunFigures[];
  /** Of machines: summed up. */
  counted: Counted | undefined;
}

export interface CellBase {
  readonly size: number;
  readonly mode: Mode;
  readonly unread: Rounds;
  readonly read: Rounds;
}

export interface MachineCell extends CellBase {
  readonly kind: "machine";
  readonly machine: MachineKind;
  readonly tx: TxPath;
  readonly receive: Job["receive"];
  /** Where the time of a round trip goes. */
  stages: Stages | undefined;
}

export interface PeerCell extends CellBase {
  readonly kind: "peer";
  readonly name: PeerName;
}

export type Cell = MachineCell | PeerCell;

export interface Missing {
  readonly name: string;
  readonly reason: string;
}

export interface Outcome {
  readonly machine: string;
  readonly conditions: Conditions;
  readonly preset: PresetName;
  readonly cells: readonly Cell[];
  /** Machines and peers that could not run, and why. */
  readonly missing: readonly Missing[];
  readonly rounds: number;
  readonly elapsedMs: number;
  /** `partial`: it was ended before all rounds were done. */
  readonly completeness: "complete" | "partial";
}

/** A machine or a peer. */
export interface Subject {
  readonly name: string;
  readonly cells: readonly Cell[];
  run(job: Job): Promise<{
    readonly figures: RunFigures;
    readonly counted: Counted | undefined;
    readonly stages: Stages | undefined;
  }>;
  stop(): Promise<void>;
}
