/** Options that several commands have, and what they become for the machine. */

import type { MachineKind } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import { type Command, Option } from "commander";
import { readBytes } from "../usage.ts";

/** Measured: see the README of @toril/machine. */
export const DEFAULT_MACHINE: MachineKind = "inline";

export interface MachineFlags {
  readonly machine: MachineKind;
  readonly tx: TxPath;
  readonly memory: number | undefined;
}

export function addMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--machine <kind>", "inline: one thread; dedicated: a thread per core and per device")
        .choices(["inline", "dedicated"])
        .default(DEFAULT_MACHINE),
    )
    .addOption(
      new Option("--tx <path>", "how the vsock driver sends")
        .choices(["two-copy", "one-copy", "zero-copy"])
        .default("zero-copy"),
    )
    .addOption(
      new Option("--memory <bytes>", "guest memory, such as 64M (default: 64M per core)").argParser(readBytes),
    );
}
