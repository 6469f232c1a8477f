/**
 * The conditions under which machines are measured. A preset is a name for some of them; what it does not say is as
 * machines have it.
 */
import type { MachineOptions } from "@toril/machine";
import type { Receive } from "./job.ts";

export interface Conditions {
  /** One line: what is different from a machine as it comes. */
  readonly description: string;
  /** How the machines are tuned. */
  readonly machine: Pick<MachineOptions, "tuning">;
  /** How the guest receives; by borrowing on the zero-copy path, and by copying on the others, unless told. */
  readonly receive?: Receive;
  /** Processors for the core and the device, and for the two ends of each peer. */
  readonly cpus?: readonly [number, number];
}

export const PRESET_NAMES = ["default", "sleeping"] as const;
export type PresetName = (typeof PRESET_NAMES)[number];

export const PRESETS: Readonly<Record<PresetName, Conditions>> = {
  default: { description: "machines as they come", machine: {} },
  sleeping: {
    description: "nobody spins: a side that has to wait sleeps; both sides on a processor of their own",
    machine: { tuning: { idling: "sleep" } },
    cpus: [0, 1],
  },
};
