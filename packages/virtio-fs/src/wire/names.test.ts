/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import { opaque } from "./integers.ts";
import {
  ACCESS_IN_SIZE,
  findNameEnd,
  LINK_IN_SIZE,
  MKDIR_IN_SIZE,
  MKNOD_IN_SIZE,
  RENAME_IN_SIZE,
  RENAME2_IN_SIZE,
  RenameFlag,
  readAccessIn,
  readLinkIn,
  readMkdirIn,
  readMknodIn,
  readRename2In,
  readRenameIn,
  writeAccessIn,
  writeLinkIn,
  writeMkdirIn,
  writeMknodIn,
  writeName,
  writeRename2In,
  writeRenameIn,
} from "./names.ts";

describe("struct fuse_mknod_in", () => {
  const golden = goldenBytes(`
  80 81 00 00              | 0 mode
  02 01 00 00              | 4 rdev
  12 00 00 00              | 8 umask
  00 00 00 00              | 12 padding
`);
  const value = { mode: 0o100600, rdev: 0x0102, umask: 0o22 };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(MKNOD_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { mode: 0, rdev: 0, umask: 0 };
    readMknodIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeMknodIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_mkdir_in", () => {
  const golden = goldenBytes(`
  ed 01 00 00              | 0 mode
  17 00 00 00              | 4 umask
`);
  const value = { mode: 0o755, umask: 0o27 };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(MKDIR_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { mode: 0, umask: 0 };
    readMkdirIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeMkdirIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_rename_in", () => {
  const golden = goldenBytes(`
  09 00 00 00 00 00 00 f0  | 0 newdir
`);
  const value = opaque(9, 0xf000_0000);

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(RENAME_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = opaque();
    readRenameIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeRenameIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_rename2_in", () => {
  const golden = goldenBytes(`
  09 00 00 00 00 00 00 f0  | 0 newdir
  02 00 00 00              | 8 flags
  00 00 00 00              | 12 padding
`);
  const value = { newDirectory: opaque(9, 0xf000_0000), flags: RenameFlag.Exchange };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(RENAME2_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { newDirectory: opaque(), flags: 0 };
    readRename2In(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeRename2In(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_link_in", () => {
  const golden = goldenBytes(`
  0a 00 00 00 00 00 00 f0  | 0 oldnodeid
`);
  const value = opaque(10, 0xf000_0000);

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(LINK_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = opaque();
    readLinkIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeLinkIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_access_in", () => {
  const golden = goldenBytes(`
  06 00 00 00              | 0 mask
  00 00 00 00              | 4 padding
`);
  const value = 6;

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(ACCESS_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    expect(readAccessIn(golden, 0)).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeAccessIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("names", () => {
  test("end with a NUL; the next one starts behind it", () => {
    const bytes = new Uint8Array(8).fill(0xff);
    expect(writeName(bytes, 1, Uint8Array.of(0x61, 0x62))).toBe(4);
    expect(bytes).toEqual(Uint8Array.of(0xff, 0x61, 0x62, 0, 0xff, 0xff, 0xff, 0xff));
    expect(findNameEnd(bytes, 1, 8)).toBe(3);
  });
  test("without a NUL before the end are not found", () => {
    const bytes = Uint8Array.of(0x61, 0x62, 0, 0x63);
    expect(findNameEnd(bytes, 0, 2)).toBe(-1);
    expect(findNameEnd(bytes, 3, 4)).toBe(-1);
    expect(findNameEnd(bytes, 4, 4)).toBe(-1);
  });
});
