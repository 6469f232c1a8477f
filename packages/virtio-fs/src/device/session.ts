/**
 * How a FUSE session starts: a function of what the client offers. No queues, no file system.
 *
 * fuse.h, "Protocol version negotiation": both use the smaller minor version of the same major one. To a larger major
 * version the server answers with its own and nothing else, and waits for another INIT.
 */
import { Errno } from "@toril/virtio/platform";
import {
  createInitOut,
  DEFAULT_MAX_PAGES,
  FUSE_MAJOR,
  FUSE_MINOR,
  FUSE_PAGE_SIZE,
  INIT_OUT_SIZE,
  INIT_OUT_SIZE_OLD,
  InitFlag,
  type InitIn,
  type InitOut,
} from "../wire/index.ts";

/** Most bytes in one WRITE or READ: 1 MiB, which is what virtiofsd takes and 256 pages hold. */
export const MAX_TRANSFER = 0x10_0000;
const MAX_PAGES = MAX_TRANSFER / FUSE_PAGE_SIZE;
/** Background requests (readahead, writeback) that a client may have in flight, and where it counts as congested. */
const MAX_BACKGROUND = 64;
const CONGESTION_THRESHOLD = 48;

/**
 * The oldest minor version served. Before 7.12 several structures were shorter (fuse_attr, fuse_write_in, …); virtio-fs
 * came with 7.31, so no client of that age exists.
 */
const OLDEST_MINOR = 12;
/** From here on fuse_init_out has 64 bytes, before that 24. */
const FULL_INIT_OUT_MINOR = 23;

/** What the server can do, whatever its file system is. */
const SERVER_FLAGS =
  InitFlag.AsyncRead |
  InitFlag.AtomicOTrunc |
  InitFlag.BigWrites |
  InitFlag.AutoInvalData |
  InitFlag.DoReaddirplus |
  InitFlag.ReaddirplusAuto |
  InitFlag.AsyncDio |
  InitFlag.ParallelDirops |
  InitFlag.MaxPages |
  InitFlag.InitExt;

export type Negotiation =
  | { readonly kind: "accept"; readonly out: InitOut; readonly size: number; readonly limits: SessionLimits }
  /** Answer with our major version and wait for another INIT. */
  | { readonly kind: "try-again"; readonly out: InitOut; readonly size: number }
  | { readonly kind: "refuse"; readonly errno: number; readonly reason: string };

/** What both sides agreed on. */
export interface SessionLimits {
  readonly minor: number;
  /** Bits of InitFlag that both have. */
  readonly flags: number;
  /** Most bytes in one WRITE. */
  readonly maxWrite: number;
}

export function negotiate(init: Readonly<InitIn>): Negotiation {
  if (init.major < FUSE_MAJOR) {
    return {
      kind: "refuse",
      errno: Errno.EPROTO,
      reason: `FUSE ${init.major}.${init.minor}: major version 7 is needed`,
    };
  }
  const out = createInitOut();
  if (init.major > FUSE_MAJOR) return { kind: "try-again", out, size: INIT_OUT_SIZE_OLD };
  if (init.minor < OLDEST_MINOR) {
    const reason = `FUSE 7.${init.minor}: at least 7.${OLDEST_MINOR} is needed`;
    return { kind: "refuse", errno: Errno.EPROTO, reason };
  }
  const minor = Math.min(init.minor, FUSE_MINOR);
  const flags = init.flags & SERVER_FLAGS;
  const manyPages = (flags & InitFlag.MaxPages) !== 0;
  const maxWrite = manyPages ? MAX_TRANSFER : DEFAULT_MAX_PAGES * FUSE_PAGE_SIZE;
  out.minor = minor;
  out.flags = flags;
  out.maxReadahead = Math.min(init.maxReadahead, MAX_TRANSFER);
  out.maxBackground = MAX_BACKGROUND;
  out.congestionThreshold = CONGESTION_THRESHOLD;
  out.maxWrite = maxWrite;
  out.maxPages = manyPages ? MAX_PAGES : 0;
  const size = minor < FULL_INIT_OUT_MINOR ? INIT_OUT_SIZE_OLD : INIT_OUT_SIZE;
  return { kind: "accept", out, size, limits: { minor, flags, maxWrite } };
}
