/** How a FUSE session starts: what we ask of the device, what we accept of its answer, and what follows from it. */
import { Errno, SystemError } from "@toril/virtio/platform";
import {
  createInitIn,
  DEFAULT_MAX_PAGES,
  FUSE_MAJOR,
  FUSE_MINOR_OLDEST,
  FUSE_PAGE_SIZE,
  InitFlag,
  type InitIn,
  type InitOut,
} from "../wire/index.ts";

/** The most data that we put into one request, in bytes: virtiofsd refuses more, and so does Linux (256 pages). */
const MAX_TRANSFER = 0x10_0000;
/** Every server takes a page (fs/fuse/inode.c: "max_write = max(4096, …)"). */
const LEAST_WRITE = FUSE_PAGE_SIZE;

/** What both sides agreed on. */
export interface Session {
  readonly minor: number;
  /** Bits of InitFlag. */
  readonly flags: number;
  /** Most bytes of data in one READ, READDIR or WRITE. */
  readonly maxRead: number;
  readonly maxWrite: number;
  /** Most bytes to read ahead. */
  readonly maxReadahead: number;
  /** OPEN takes O_TRUNC itself; otherwise SETATTR has to follow. */
  readonly atomicTruncate: boolean;
  readonly readdirplus: boolean;
}

const WANTED: number =
  InitFlag.AsyncRead |
  InitFlag.BigWrites |
  InitFlag.AtomicOTrunc |
  InitFlag.DontMask |
  InitFlag.AutoInvalData |
  InitFlag.DoReaddirplus |
  InitFlag.ParallelDirops |
  InitFlag.MaxPages |
  InitFlag.CacheSymlinks |
  InitFlag.AbortError;

/** What we ask for. Bits for what this driver does not do (POSIX locks, ACLs, DAX, writeback) are left out. */
export function initRequest(): InitIn {
  return { ...createInitIn(), maxReadahead: MAX_TRANSFER, flags: WANTED };
}

/**
 * Judges the device's answer.
 * @throws SystemError EPROTO when the device speaks another major version, or a minor one before virtio-fs.
 */
export function acceptInit(out: Readonly<InitOut>): Session {
  const version = `${out.major}.${out.minor}`;
  const wish = `this driver speaks ${FUSE_MAJOR}.${FUSE_MINOR_OLDEST} and newer`;
  if (out.major !== FUSE_MAJOR || out.minor < FUSE_MINOR_OLDEST) {
    throw new SystemError(Errno.EPROTO, "init", `the device speaks FUSE ${version}: ${wish}`);
  }
  // A device may only confirm what was asked for (fuse_init_out.flags); other bits have no meaning to us.
  const flags = out.flags & WANTED;
  const pages = (flags & InitFlag.MaxPages) !== 0 && out.maxPages > 0 ? out.maxPages : DEFAULT_MAX_PAGES;
  const maxRead = Math.min(pages * FUSE_PAGE_SIZE, MAX_TRANSFER);
  return {
    minor: out.minor,
    flags,
    maxRead,
    maxWrite: Math.min(Math.max(out.maxWrite, LEAST_WRITE), maxRead),
    maxReadahead: Math.min(out.maxReadahead, MAX_TRANSFER),
    atomicTruncate: (flags & InitFlag.AtomicOTrunc) !== 0,
    readdirplus: (flags & InitFlag.DoReaddirplus) !== 0,
  };
}
