/** Options that several commands have, and what they become for the machine. */

import type { MachineKind, RecordOptions, VhostUserOptions } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import { type Command, Option } from "commander";
import { readBytes, UsageError } from "../usage.ts";

/** Measured: see the README of @toril/machine. */
const DEFAULT_MACHINE: MachineKind = "inline";

export interface MachineFlags {
  readonly machine: MachineKind;
  readonly tx: TxPath;
  readonly memory: number | undefined;
  readonly fs?: string;
  readonly vsock?: string;
  readonly uds?: string;
  readonly spawn?: true;
  readonly capture?: string;
  readonly traceFuse?: string;
}

export function addMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--machine <kind>",
        "inline: one thread; dedicated: a thread per core and per device; vhost-user: devices in other processes",
      )
        .choices(["inline", "dedicated", "vhost-user"])
        .default(DEFAULT_MACHINE),
    )
    .addOption(
      new Option("--tx <path>", "how the vsock driver sends")
        .choices(["two-copy", "one-copy", "zero-copy"])
        .default("zero-copy"),
    )
    .addOption(new Option("--memory <bytes>", "guest memory, such as 64M (default: 64M per core)").argParser(readBytes))
    .option("--fs <socket>", "vhost-user machine: the files are those of a virtiofsd behind this socket")
    .option("--vsock <socket>", "vhost-user machine: the network is that of a vhost-device-vsock behind this socket")
    .option("--uds <path>", "with --vsock: that daemon's host side, its --uds-path")
    .option("--spawn", "vhost-user machine: start the installed daemons, and keep them running")
    .option("--capture <file>", "record the vsock packets in this file, for Wireshark (pcap)")
    .option("--trace-fuse <file>", "record the file requests in this file, a line each; -: on stderr");
}

/** What the machine is to record; nothing unless told. */
export function recordOf({ capture, traceFuse }: MachineFlags): { readonly record?: RecordOptions } {
  if (capture === undefined && traceFuse === undefined) return {};
  return {
    record: {
      ...(capture === undefined ? {} : { vsock: capture }),
      ...(traceFuse === undefined ? {} : { files: traceFuse }),
    },
  };
}

/**
 * Where the devices of a vhost-user machine are; nothing for other machines.
 * @param directory that was named beside them, and how it is called
 * @throws UsageError for options that do not go together
 */
export function vhostUserOf(
  { machine, fs, vsock, uds, spawn }: MachineFlags,
  cache: "none" | "auto" | "always",
  directory: { readonly given: string | undefined; readonly name: string },
): { readonly vhostUser?: VhostUserOptions } {
  const sockets = { "--fs": fs, "--vsock": vsock, "--uds": uds };
  const [given] = Object.entries(sockets).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (machine !== "vhost-user") {
    const stray = given ?? (spawn && "--spawn");
    if (stray === undefined) return {};
    throw new UsageError(`${stray} is for the vhost-user machine: add --machine vhost-user`);
  }
  if (spawn === true) {
    if (given === undefined) return { vhostUser: { spawn } };
    throw new UsageError(`--spawn starts the daemons itself: leave it or ${given} out`);
  }
  if (fs === undefined && vsock === undefined && uds === undefined) {
    throw new UsageError("--machine vhost-user needs its devices: --fs SOCK, --vsock SOCK with --uds PATH, or --spawn");
  }
  if (vsock === undefined && uds !== undefined) throw new UsageError("--uds belongs to --vsock SOCK: add that");
  if (vsock !== undefined && uds === undefined) {
    throw new UsageError("--vsock needs --uds PATH: the daemon's Unix socket, through which TCP gets to the guest");
  }
  if (fs !== undefined && directory.given !== undefined) {
    throw new UsageError(`files come from ${directory.name} or from --fs, not from both: leave one of them out`);
  }
  return {
    vhostUser: {
      ...(fs === undefined ? {} : { fs: { socket: fs, cache } }),
      ...(vsock === undefined || uds === undefined ? {} : { vsock: { socket: vsock, uds } }),
    },
  };
}
