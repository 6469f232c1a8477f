/**
 * Requests about names: fuse_mkdir_in, fuse_mknod_in, fuse_rename_in, fuse_rename2_in, fuse_link_in. One or two names
 * follow each of them, with a NUL at the end of each. LOOKUP, UNLINK, RMDIR and SYMLINK have only names.
 */
import { getOpaque, getU32, type Opaque64, putOpaque, putU32 } from "./integers.ts";

export const MKDIR_IN_SIZE = 8;
export const MKNOD_IN_SIZE = 16;
export const RENAME_IN_SIZE = 8;
export const RENAME2_IN_SIZE = 16;
export const LINK_IN_SIZE = 8;
export const ACCESS_IN_SIZE = 8;

/** Linux' NAME_MAX. */
export const NAME_MAX = 255;
/** Linux' PATH_MAX without the NUL: the longest target of a symbolic link. */
export const SYMLINK_MAX = 4095;

/** fuse_rename2_in.flags, as renameat2(2) has them. */
export const RenameFlag = { NoReplace: 0x1, Exchange: 0x2, Whiteout: 0x4 } as const;

export interface MkdirIn {
  mode: number;
  umask: number;
}

export interface MknodIn {
  mode: number;
  rdev: number;
  umask: number;
}

export interface Rename2In {
  newDirectory: Opaque64;
  flags: number;
}

export function readMkdirIn(bytes: Uint8Array, at: number, into: MkdirIn): void {
  into.mode = getU32(bytes, at);
  into.umask = getU32(bytes, at + 4);
}

export function writeMkdirIn(bytes: Uint8Array, at: number, mkdir: Readonly<MkdirIn>): void {
  putU32(bytes, at, mkdir.mode);
  putU32(bytes, at + 4, mkdir.umask);
}

export function readMknodIn(bytes: Uint8Array, at: number, into: MknodIn): void {
  into.mode = getU32(bytes, at);
  into.rdev = getU32(bytes, at + 4);
  into.umask = getU32(bytes, at + 8);
}

export function writeMknodIn(bytes: Uint8Array, at: number, mknod: Readonly<MknodIn>): void {
  putU32(bytes, at, mknod.mode);
  putU32(bytes, at + 4, mknod.rdev);
  putU32(bytes, at + 8, mknod.umask);
  putU32(bytes, at + 12, 0);
}

/** struct fuse_rename_in: the directory of the new name. */
export function readRenameIn(bytes: Uint8Array, at: number, newDirectory: Opaque64): void {
  getOpaque(bytes, at, newDirectory);
}

export function writeRenameIn(bytes: Uint8Array, at: number, newDirectory: Readonly<Opaque64>): void {
  putOpaque(bytes, at, newDirectory);
}

export function readRename2In(bytes: Uint8Array, at: number, into: Rename2In): void {
  getOpaque(bytes, at, into.newDirectory);
  into.flags = getU32(bytes, at + 8);
}

export function writeRename2In(bytes: Uint8Array, at: number, rename: Readonly<Rename2In>): void {
  putOpaque(bytes, at, rename.newDirectory);
  putU32(bytes, at + 8, rename.flags);
  putU32(bytes, at + 12, 0);
}

/** struct fuse_link_in: the node that gets another name. The header's node is the directory. */
export function readLinkIn(bytes: Uint8Array, at: number, oldNode: Opaque64): void {
  getOpaque(bytes, at, oldNode);
}

export function writeLinkIn(bytes: Uint8Array, at: number, oldNode: Readonly<Opaque64>): void {
  putOpaque(bytes, at, oldNode);
}

/** struct fuse_access_in: R_OK 4, W_OK 2, X_OK 1. */
export function readAccessIn(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at);
}

export function writeAccessIn(bytes: Uint8Array, at: number, mask: number): void {
  putU32(bytes, at, mask);
  putU32(bytes, at + 4, 0);
}

/** Where the name that starts at `from` ends: the index of its NUL, -1 when there is none before `end`. */
export function findNameEnd(bytes: Uint8Array, from: number, end: number): number {
  if (from >= end) return -1;
  const nul = bytes.indexOf(0, from);
  return nul === -1 || nul >= end ? -1 : nul;
}

/** Writes a name and its NUL; returns the offset behind it. The name must not contain a NUL. */
export function writeName(bytes: Uint8Array, at: number, name: Uint8Array): number {
  bytes.set(name, at);
  bytes[at + name.length] = 0;
  return at + name.length + 1;
}
