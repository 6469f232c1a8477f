/** FUSE carries Linux' open(2) flags; other systems have other numbers for the same. */
import { constants } from "node:fs";

/** Linux' numbers (include/uapi/asm-generic/fcntl.h). */
export const LinuxOpenFlag = {
  AccessMode: 3,
  Exclusive: 0o200,
  Truncate: 0o1000,
  Append: 0o2000,
  DataSync: 0o10000,
  /** Both of its bits. */
  Sync: 0o4010000,
} as const;

type FlagName = "O_WRONLY" | "O_RDWR" | "O_TRUNC" | "O_APPEND" | "O_DSYNC" | "O_SYNC";
/** A system's own numbers, as far as it has them. */
export type HostOpenFlags = { readonly [name in FlagName]?: number | undefined };

/** Whether a file that is opened like this may be changed through it. */
export function wouldWrite(flags: number): boolean {
  return (flags & LinuxOpenFlag.AccessMode) !== 0 || (flags & LinuxOpenFlag.Truncate) !== 0;
}

/**
 * This host's numbers for what is passed on: how to access, append, truncate, and what to wait for. O_CREAT and
 * O_NOFOLLOW are ours to decide, O_DIRECT would need aligned memory. A system without O_DSYNC waits for more (O_SYNC), one
 * without either (Windows) for nothing: there only FSYNC makes sure.
 */
export function hostOpenFlags(flags: number, host: HostOpenFlags = constants): number {
  const { Sync, DataSync, Append, Truncate, AccessMode } = LinuxOpenFlag;
  const sync = host.O_SYNC ?? 0;
  let passed = [0, host.O_WRONLY, host.O_RDWR, host.O_RDWR][flags & AccessMode] ?? 0;
  if ((flags & Append) !== 0) passed |= host.O_APPEND ?? 0;
  if ((flags & Truncate) !== 0) passed |= host.O_TRUNC ?? 0;
  if ((flags & Sync) === Sync) passed |= sync;
  else if ((flags & DataSync) !== 0) passed |= host.O_DSYNC ?? sync;
  return passed;
}
