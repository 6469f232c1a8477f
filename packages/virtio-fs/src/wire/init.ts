/** How a session starts (struct fuse_init_in and fuse_init_out): versions, limits and features. */
import { getU16, getU32, putU16, putU32 } from "./integers.ts";

export const FUSE_MAJOR = 7;
/** The newest minor version we speak. Both sides use the smaller of the two. */
export const FUSE_MINOR = 38;
/** virtio-fs came with 7.31: the oldest minor version that our driver accepts of a device. */
export const FUSE_MINOR_OLDEST = 31;

/** Since 7.36: 16 bytes before that (major to flags). */
export const INIT_IN_SIZE = 64;
export const INIT_IN_SIZE_OLD = 16;
export const INIT_OUT_SIZE = 64;
/** Until 7.22. */
export const INIT_OUT_SIZE_OLD = 24;

/** INIT flags, bits 0 to 31; each side says which it can do, the reply holds those that will be used. */
export const InitFlag = {
  /** The client may have several reads of one file in flight. */
  AsyncRead: 0x1,
  PosixLocks: 0x2,
  /** OPEN handles O_TRUNC itself. */
  AtomicOTrunc: 0x8,
  /** LOOKUP of "." and "..". */
  ExportSupport: 0x10,
  /** WRITE of more than 4 KiB. */
  BigWrites: 0x20,
  /** The server applies the umask. */
  DontMask: 0x40,
  FlockLocks: 0x400,
  /** Cached data is dropped when GETATTR shows another mtime or size. */
  AutoInvalData: 0x1000,
  DoReaddirplus: 0x2000,
  /** The client decides when READDIRPLUS pays. */
  ReaddirplusAuto: 0x4000,
  AsyncDio: 0x8000,
  WritebackCache: 0x10000,
  NoOpenSupport: 0x20000,
  /** Lookups and readdirs in one directory may run at the same time. */
  ParallelDirops: 0x40000,
  HandleKillpriv: 0x80000,
  PosixAcl: 0x100000,
  AbortError: 0x200000,
  /** init_out.max_pages is valid. */
  MaxPages: 0x400000,
  CacheSymlinks: 0x800000,
  NoOpendirSupport: 0x1000000,
  ExplicitInvalData: 0x2000000,
  MapAlignment: 0x4000000,
  Submounts: 0x8000000,
  HandleKillprivV2: 0x10000000,
  SetxattrExt: 0x20000000,
  /** flags2 is valid (7.36). */
  InitExt: 0x40000000,
} as const;

/** Without MAX_PAGES a request carries at most this many pages. */
export const DEFAULT_MAX_PAGES = 32;
export const FUSE_PAGE_SIZE = 4096;

export interface InitIn {
  major: number;
  minor: number;
  maxReadahead: number;
  flags: number;
  /** Bits 32 to 63; 0 unless `flags` has InitExt. */
  flags2: number;
}

export interface InitOut {
  major: number;
  minor: number;
  maxReadahead: number;
  flags: number;
  maxBackground: number;
  congestionThreshold: number;
  /** Most bytes in one WRITE. */
  maxWrite: number;
  /** Granularity of times in nanoseconds. */
  timeGranularity: number;
  /** Most pages in one request; only with MaxPages. */
  maxPages: number;
  mapAlignment: number;
  flags2: number;
}

export function createInitIn(): InitIn {
  return { major: FUSE_MAJOR, minor: FUSE_MINOR, maxReadahead: 0, flags: 0, flags2: 0 };
}

export function createInitOut(): InitOut {
  return {
    major: FUSE_MAJOR,
    minor: FUSE_MINOR,
    maxReadahead: 0,
    flags: 0,
    maxBackground: 0,
    congestionThreshold: 0,
    maxWrite: 0,
    timeGranularity: 1,
    maxPages: 0,
    mapAlignment: 0,
    flags2: 0,
  };
}

/** @param length bytes that are there: at least INIT_IN_SIZE_OLD. */
export function readInitIn(bytes: Uint8Array, at: number, length: number, into: InitIn): void {
  into.major = getU32(bytes, at);
  into.minor = getU32(bytes, at + 4);
  into.maxReadahead = getU32(bytes, at + 8);
  into.flags = getU32(bytes, at + 12);
  into.flags2 = length >= 20 && (into.flags & InitFlag.InitExt) !== 0 ? getU32(bytes, at + 16) : 0;
}

/** All INIT_IN_SIZE bytes. */
export function writeInitIn(bytes: Uint8Array, at: number, init: Readonly<InitIn>): void {
  bytes.fill(0, at, at + INIT_IN_SIZE);
  putU32(bytes, at, init.major);
  putU32(bytes, at + 4, init.minor);
  putU32(bytes, at + 8, init.maxReadahead);
  putU32(bytes, at + 12, init.flags);
  putU32(bytes, at + 16, init.flags2);
}

/** @param length bytes that are there: at least INIT_OUT_SIZE_OLD. Fields beyond them are 0. */
export function readInitOut(bytes: Uint8Array, at: number, length: number, into: InitOut): void {
  into.major = getU32(bytes, at);
  into.minor = getU32(bytes, at + 4);
  into.maxReadahead = getU32(bytes, at + 8);
  into.flags = getU32(bytes, at + 12);
  into.maxBackground = getU16(bytes, at + 16);
  into.congestionThreshold = getU16(bytes, at + 18);
  into.maxWrite = getU32(bytes, at + 20);
  const full = length >= INIT_OUT_SIZE;
  into.timeGranularity = full ? getU32(bytes, at + 24) : 0;
  into.maxPages = full && (into.flags & InitFlag.MaxPages) !== 0 ? getU16(bytes, at + 28) : 0;
  into.mapAlignment = full ? getU16(bytes, at + 30) : 0;
  into.flags2 = full && (into.flags & InitFlag.InitExt) !== 0 ? getU32(bytes, at + 32) : 0;
}

/** All INIT_OUT_SIZE bytes; an old client takes the first INIT_OUT_SIZE_OLD of them. */
export function writeInitOut(bytes: Uint8Array, at: number, init: Readonly<InitOut>): void {
  bytes.fill(0, at, at + INIT_OUT_SIZE);
  putU32(bytes, at, init.major);
  putU32(bytes, at + 4, init.minor);
  putU32(bytes, at + 8, init.maxReadahead);
  putU32(bytes, at + 12, init.flags);
  putU16(bytes, at + 16, init.maxBackground);
  putU16(bytes, at + 18, init.congestionThreshold);
  putU32(bytes, at + 20, init.maxWrite);
  putU32(bytes, at + 24, init.timeGranularity);
  putU16(bytes, at + 28, init.maxPages);
  putU16(bytes, at + 30, init.mapAlignment);
  putU32(bytes, at + 32, init.flags2);
}
