/** What the host says about an inode, as FUSE wants it. BigInt stats: inode numbers and nanoseconds must be exact. */
import type { BigIntStats, Dirent } from "node:fs";
import { platform } from "node:process";
import type { Attributes, Timestamp } from "@toril/virtio-fs/device";

/** st_mode's types, which FUSE takes from Linux and other systems have in common with it as far as they have them. */
export const TYPE_MASK = 0o170000;
const FIFO = 0o010000;
const CHARACTER_DEVICE = 0o020000;
const DIRECTORY = 0o040000;
const BLOCK_DEVICE = 0o060000;
export const REGULAR_FILE = 0o100000;
const SYMLINK = 0o120000;
const SOCKET = 0o140000;

export function attributesOf(stat: BigIntStats): Attributes {
  return {
    inode: stat.ino,
    size: Number(stat.size),
    blocks: Number(stat.blocks),
    atime: timestamp(stat.atimeNs),
    mtime: timestamp(stat.mtimeNs),
    ctime: timestamp(stat.ctimeNs),
    mode: Number(stat.mode),
    links: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    rdev: deviceNumber(stat.rdev),
    blockSize: Number(stat.blksize),
  };
}

const SECOND = 1_000_000_000n;

function timestamp(nanoseconds: bigint): Timestamp {
  const rest = ((nanoseconds % SECOND) + SECOND) % SECOND; // before 1970, too
  return { seconds: Number((nanoseconds - rest) / SECOND), nanoseconds: Number(rest) };
}

/** Linux' new_encode_dev: FUSE has 32 bits for it. Another system's device number means nothing to a guest. */
function deviceNumber(rdev: bigint): number {
  if (platform !== "linux") return 0;
  const major = Number((rdev >> 8n) & 0xfffn);
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n));
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export type InodeType = "file" | "directory" | "symlink" | "special";

export function typeOf(stat: BigIntStats): InodeType {
  const type = Number(stat.mode) & TYPE_MASK;
  if (type === REGULAR_FILE) return "file";
  if (type === DIRECTORY) return "directory";
  return type === SYMLINK ? "symlink" : "special";
}

/** DT_*: st_mode >> 12. */
export function directoryType(entry: Dirent<Buffer>): number {
  if (entry.isFile()) return REGULAR_FILE >> 12;
  if (entry.isDirectory()) return DIRECTORY >> 12;
  if (entry.isSymbolicLink()) return SYMLINK >> 12;
  if (entry.isFIFO()) return FIFO >> 12;
  if (entry.isSocket()) return SOCKET >> 12;
  if (entry.isCharacterDevice()) return CHARACTER_DEVICE >> 12;
  if (entry.isBlockDevice()) return BLOCK_DEVICE >> 12;
  return 0;
}
