/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import {
  createInitIn,
  createInitOut,
  INIT_IN_SIZE,
  INIT_IN_SIZE_OLD,
  INIT_OUT_SIZE,
  INIT_OUT_SIZE_OLD,
  InitFlag,
  readInitIn,
  readInitOut,
  writeInitIn,
  writeInitOut,
} from "./init.ts";

describe("struct fuse_init_in", () => {
  const golden = goldenBytes(`
  07 00 00 00              | 0 major
  26 00 00 00              | 4 minor
  00 00 02 00              | 8 max_readahead
  21 00 40 40              | 12 flags
  05 00 00 00              | 16 flags2
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 | 20 unused
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 |
  00 00 00 00 00 00 00 00 00 00 00 00 |
`);
  const value = {
    major: 7,
    minor: 38,
    maxReadahead: 0x2_0000,
    flags: InitFlag.AsyncRead | InitFlag.BigWrites | InitFlag.MaxPages | InitFlag.InitExt,
    flags2: 5,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(INIT_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createInitIn();
    readInitIn(golden, 0, golden.length, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeInitIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });

  test("FUSE 7.35 and older: 16 bytes, and flags2 is 0", () => {
    const into = createInitIn();
    readInitIn(golden, 0, INIT_IN_SIZE_OLD, into);
    expect(into).toEqual({ ...value, flags2: 0 });
  });
  test("FUSE 7.36: flags2 without INIT_EXT means nothing", () => {
    const bytes = golden.slice();
    bytes[15] = 0;
    const into = createInitIn();
    readInitIn(bytes, 0, bytes.length, into);
    expect(into.flags2).toBe(0);
  });
});

describe("struct fuse_init_out", () => {
  const golden = goldenBytes(`
  07 00 00 00              | 0 major
  26 00 00 00              | 4 minor
  00 00 02 00              | 8 max_readahead
  01 20 40 40              | 12 flags
  40 00                    | 16 max_background
  30 00                    | 18 congestion_threshold
  00 00 10 00              | 20 max_write
  01 00 00 00              | 24 time_gran
  00 01                    | 28 max_pages
  0c 00                    | 30 map_alignment
  09 00 00 00              | 32 flags2
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 | 36 unused
  00 00 00 00 00 00 00 00 00 00 00 00 |
`);
  const value = {
    major: 7,
    minor: 38,
    maxReadahead: 0x2_0000,
    flags: InitFlag.AsyncRead | InitFlag.DoReaddirplus | InitFlag.MaxPages | InitFlag.InitExt,
    maxBackground: 64,
    congestionThreshold: 48,
    maxWrite: 0x10_0000,
    timeGranularity: 1,
    maxPages: 256,
    mapAlignment: 12,
    flags2: 9,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(INIT_OUT_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createInitOut();
    readInitOut(golden, 0, golden.length, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeInitOut(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });

  test("FUSE 7.22 and older: 24 bytes, the rest is 0", () => {
    const into = createInitOut();
    readInitOut(golden, 0, INIT_OUT_SIZE_OLD, into);
    expect(into).toEqual({ ...value, timeGranularity: 0, maxPages: 0, mapAlignment: 0, flags2: 0 });
  });
});
