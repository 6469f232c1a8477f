/**
 * How one name is reached without ever following a path: `/proc/self/fd/N/NAME` starts at the directory that descriptor
 * N holds, wherever that is by now, and O_NOFOLLOW takes NAME as it is. `/proc/self/fd/N` alone is the very inode that N
 * holds. No string that a guest sends is ever more than one name.
 */
import { constants } from "node:fs";

/** open(2): a descriptor that only names an inode; opening it has no effect, even on a FIFO or a device. */
const O_PATH = 0o10000000;
/** Takes the name itself, whatever it is, and follows nothing. */
export const OPEN_NAME: number = O_PATH | constants.O_NOFOLLOW;
/** For `/proc/self/fd/N` itself, which must be followed: it leads to exactly one inode. */
export const OPEN_INODE: number = O_PATH;

/** The inode that a descriptor holds. */
export function inodePath(descriptor: number): Buffer {
  return Buffer.from(`/proc/self/fd/${descriptor}`, "latin1");
}

/** A name in the directory that a descriptor holds. Names are bytes. */
export function namePath(directory: number, name: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`, "latin1"), name]);
}
