/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import { opaque } from "./integers.ts";
import {
  CREATE_IN_SIZE,
  createOpenOut,
  FLUSH_IN_SIZE,
  FSYNC_IN_SIZE,
  OPEN_IN_SIZE,
  OPEN_OUT_SIZE,
  OpenFlag,
  OpenReplyFlag,
  RELEASE_IN_SIZE,
  readCreateIn,
  readFlushIn,
  readFsyncIn,
  readOpenIn,
  readOpenOut,
  readReleaseIn,
  writeCreateIn,
  writeFlushIn,
  writeFsyncIn,
  writeOpenIn,
  writeOpenOut,
  writeReleaseIn,
} from "./open.ts";

describe("struct fuse_open_in", () => {
  const golden = goldenBytes(`
  02 82 00 00              | 0 flags
  00 00 00 00              | 4 open_flags
`);
  const value = { flags: OpenFlag.ReadWrite | OpenFlag.Truncate | OpenFlag.LargeFile };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(OPEN_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { flags: 0 };
    readOpenIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeOpenIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_create_in", () => {
  const golden = goldenBytes(`
  c1 80 00 00              | 0 flags
  a0 81 00 00              | 4 mode
  12 00 00 00              | 8 umask
  00 00 00 00              | 12 open_flags
`);
  const value = {
    flags: OpenFlag.WriteOnly | OpenFlag.Create | OpenFlag.Exclusive | OpenFlag.LargeFile,
    mode: 0o100640,
    umask: 0o22,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(CREATE_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { flags: 0, mode: 0, umask: 0 };
    readCreateIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeCreateIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_open_out", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  02 00 00 00              | 8 open_flags
  00 00 00 00              | 12 padding
`);
  const value = { handle: opaque(0xffff_fffe, 0xffff_ffff), flags: OpenReplyFlag.KeepCache };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(OPEN_OUT_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createOpenOut();
    readOpenOut(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeOpenOut(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_release_in", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  02 00 00 00              | 8 flags
  01 00 00 00              | 12 release_flags
  00 00 00 00 00 00 00 00  | 16 lock_owner
`);
  const value = { handle: opaque(0xffff_fffe, 0xffff_ffff), flags: 2, releaseFlags: 1 };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(RELEASE_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { handle: opaque(), flags: 0, releaseFlags: 0 };
    readReleaseIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeReleaseIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_flush_in", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  00 00 00 00              | 8 unused
  00 00 00 00              | 12 padding
  00 00 00 00 00 00 00 00  | 16 lock_owner
`);
  const value = opaque(0xffff_fffe, 0xffff_ffff);

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(FLUSH_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = opaque();
    readFlushIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeFlushIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_fsync_in", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  01 00 00 00              | 8 fsync_flags
  00 00 00 00              | 12 padding
`);
  const value = opaque(0xffff_fffe, 0xffff_ffff);

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(FSYNC_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const handle = opaque();
    expect(readFsyncIn(golden, 0, handle)).toBe(1);
    expect(handle).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeFsyncIn(bytes, 0, value, 1);
    expect(bytes).toEqual(golden);
  });
});
