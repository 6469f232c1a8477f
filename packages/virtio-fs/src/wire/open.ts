/** Open files: fuse_open_in, fuse_create_in, fuse_open_out, fuse_release_in, fuse_flush_in, fuse_fsync_in. */
import { getOpaque, getU32, type Opaque64, opaque, putOpaque, putU32 } from "./integers.ts";

export const OPEN_IN_SIZE = 8;
export const CREATE_IN_SIZE = 16;
export const OPEN_OUT_SIZE = 16;
export const RELEASE_IN_SIZE = 24;
export const FLUSH_IN_SIZE = 24;
export const FSYNC_IN_SIZE = 16;

/** Linux open(2) flags that FUSE carries. */
export const OpenFlag = {
  ReadOnly: 0,
  WriteOnly: 1,
  ReadWrite: 2,
  AccessMode: 3,
  Create: 0o100,
  Exclusive: 0o200,
  NoControllingTty: 0o400,
  Truncate: 0o1000,
  Append: 0o2000,
  NonBlock: 0o4000,
  Direct: 0o40000,
  LargeFile: 0o100000,
  Directory: 0o200000,
  NoFollow: 0o400000,
} as const;

/** fuse_open_out.open_flags. */
export const OpenReplyFlag = { DirectIo: 0x1, KeepCache: 0x2, NonSeekable: 0x4, CacheDir: 0x8 } as const;

/** fuse_fsync_in.fsync_flags: data only. */
export const FSYNC_DATA_ONLY = 0x1;

export interface OpenIn {
  /** Open flags of Linux, without O_CREAT, O_EXCL and O_NOCTTY. */
  flags: number;
}

export interface CreateIn {
  flags: number;
  mode: number;
  umask: number;
}

export interface OpenOut {
  handle: Opaque64;
  /** Bits of OpenReplyFlag. */
  flags: number;
}

export interface ReleaseIn {
  handle: Opaque64;
  flags: number;
  releaseFlags: number;
}

export function createOpenOut(): OpenOut {
  return { handle: opaque(), flags: 0 };
}

export function readOpenIn(bytes: Uint8Array, at: number, into: OpenIn): void {
  into.flags = getU32(bytes, at);
}

export function writeOpenIn(bytes: Uint8Array, at: number, open: Readonly<OpenIn>): void {
  putU32(bytes, at, open.flags);
  putU32(bytes, at + 4, 0);
}

export function readCreateIn(bytes: Uint8Array, at: number, into: CreateIn): void {
  into.flags = getU32(bytes, at);
  into.mode = getU32(bytes, at + 4);
  into.umask = getU32(bytes, at + 8);
}

export function writeCreateIn(bytes: Uint8Array, at: number, create: Readonly<CreateIn>): void {
  putU32(bytes, at, create.flags);
  putU32(bytes, at + 4, create.mode);
  putU32(bytes, at + 8, create.umask);
  putU32(bytes, at + 12, 0);
}

export function readOpenOut(bytes: Uint8Array, at: number, into: OpenOut): void {
  getOpaque(bytes, at, into.handle);
  into.flags = getU32(bytes, at + 8);
}

export function writeOpenOut(bytes: Uint8Array, at: number, open: Readonly<OpenOut>): void {
  putOpaque(bytes, at, open.handle);
  putU32(bytes, at + 8, open.flags);
  putU32(bytes, at + 12, 0);
}

/** RELEASE and RELEASEDIR. */
export function readReleaseIn(bytes: Uint8Array, at: number, into: ReleaseIn): void {
  getOpaque(bytes, at, into.handle);
  into.flags = getU32(bytes, at + 8);
  into.releaseFlags = getU32(bytes, at + 12);
}

export function writeReleaseIn(bytes: Uint8Array, at: number, release: Readonly<ReleaseIn>): void {
  putOpaque(bytes, at, release.handle);
  putU32(bytes, at + 8, release.flags);
  putU32(bytes, at + 12, release.releaseFlags);
  putU32(bytes, at + 16, 0);
  putU32(bytes, at + 20, 0);
}

export function readFlushIn(bytes: Uint8Array, at: number, handle: Opaque64): void {
  getOpaque(bytes, at, handle);
}

export function writeFlushIn(bytes: Uint8Array, at: number, handle: Readonly<Opaque64>): void {
  bytes.fill(0, at, at + FLUSH_IN_SIZE);
  putOpaque(bytes, at, handle);
}

/** FSYNC and FSYNCDIR; returns the flags. */
export function readFsyncIn(bytes: Uint8Array, at: number, handle: Opaque64): number {
  getOpaque(bytes, at, handle);
  return getU32(bytes, at + 8);
}

export function writeFsyncIn(bytes: Uint8Array, at: number, handle: Readonly<Opaque64>, flags: number): void {
  putOpaque(bytes, at, handle);
  putU32(bytes, at + 8, flags);
  putU32(bytes, at + 12, 0);
}
