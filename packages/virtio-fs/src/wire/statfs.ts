/** How full the file system is: struct fuse_statfs_out (fuse_kstatfs). */
import { getQuantity, getU32, putQuantity, putU32 } from "./integers.ts";

export const STATFS_OUT_SIZE = 80;

/** Counts are -1 when the peer sent more than 2^53 - 1. */
export interface StatfsOut {
  /** In units of `fragmentSize`. */
  blocks: number;
  blocksFree: number;
  /** Free for unprivileged users. */
  blocksAvailable: number;
  files: number;
  filesFree: number;
  /** Preferred size of transfers. */
  blockSize: number;
  nameLength: number;
  fragmentSize: number;
}

export function readStatfsOut(bytes: Uint8Array, at: number, into: StatfsOut): void {
  into.blocks = getQuantity(bytes, at);
  into.blocksFree = getQuantity(bytes, at + 8);
  into.blocksAvailable = getQuantity(bytes, at + 16);
  into.files = getQuantity(bytes, at + 24);
  into.filesFree = getQuantity(bytes, at + 32);
  into.blockSize = getU32(bytes, at + 40);
  into.nameLength = getU32(bytes, at + 44);
  into.fragmentSize = getU32(bytes, at + 48);
}

export function writeStatfsOut(bytes: Uint8Array, at: number, statfs: Readonly<StatfsOut>): void {
  bytes.fill(0, at, at + STATFS_OUT_SIZE);
  putQuantity(bytes, at, statfs.blocks);
  putQuantity(bytes, at + 8, statfs.blocksFree);
  putQuantity(bytes, at + 16, statfs.blocksAvailable);
  putQuantity(bytes, at + 24, statfs.files);
  putQuantity(bytes, at + 32, statfs.filesFree);
  putU32(bytes, at + 40, statfs.blockSize);
  putU32(bytes, at + 44, statfs.nameLength);
  putU32(bytes, at + 48, statfs.fragmentSize);
}
