/** What the host says about an inode, as FUSE wants it. BigInt stats: inode numbers and nanoseconds must be exact. */
import type { BigIntStats, Dirent } from "node:fs";
import { constants } from "node:fs";
import type { Attributes, Timestamp } from "@toril/virtio-fs/device";

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

/** Linux' new_encode_dev: FUSE has 32 bits for it. */
function deviceNumber(rdev: bigint): number {
  const major = Number((rdev >> 8n) & 0xfffn);
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n));
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export type InodeType = "file" | "directory" | "symlink" | "special";

export function typeOf(stat: BigIntStats): InodeType {
  const type = Number(stat.mode) & constants.S_IFMT;
  if (type === constants.S_IFREG) return "file";
  if (type === constants.S_IFDIR) return "directory";
  return type === constants.S_IFLNK ? "symlink" : "special";
}

/** DT_*: st_mode >> 12. */
export function directoryType(entry: Dirent<Buffer>): number {
  if (entry.isFile()) return constants.S_IFREG >> 12;
  if (entry.isDirectory()) return constants.S_IFDIR >> 12;
  if (entry.isSymbolicLink()) return constants.S_IFLNK >> 12;
  if (entry.isFIFO()) return constants.S_IFIFO >> 12;
  if (entry.isSocket()) return constants.S_IFSOCK >> 12;
  if (entry.isCharacterDevice()) return constants.S_IFCHR >> 12;
  if (entry.isBlockDevice()) return constants.S_IFBLK >> 12;
  return 0;
}
