/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import {
  BATCH_FORGET_IN_SIZE,
  createEntryOut,
  ENTRY_OUT_SIZE,
  type EntryOut,
  FORGET_IN_SIZE,
  FORGET_ONE_SIZE,
  readBatchForgetIn,
  readEntryOut,
  readForgetIn,
  readForgetOne,
  writeBatchForgetIn,
  writeEntryOut,
  writeForgetIn,
  writeForgetOne,
} from "./entry.ts";
import { opaque } from "./integers.ts";

describe("struct fuse_entry_out", () => {
  const golden = goldenBytes(`
  07 00 00 00 ff ff ff ff  | 0 nodeid
  02 00 00 00 00 00 00 10  | 8 generation
  03 00 00 00 00 00 00 00  | 16 entry_valid
  04 00 00 00 00 00 00 00  | 24 attr_valid
  05 00 00 00              | 32 entry_valid_nsec
  06 00 00 00              | 36 attr_valid_nsec
  10 32 54 76 98 ba dc fe  | 40 attr. ino
  02 00 00 00 01 00 00 00  | 48 attr. size
  01 00 80 00 00 00 00 00  | 56 attr. blocks
  01 f1 53 65 00 00 00 00  | 64 attr. atime
  fe ff ff ff ff ff ff ff  | 72 attr. mtime
  03 00 00 00 01 00 00 00  | 80 attr. ctime
  ff c9 9a 3b              | 88 attr. atimensec
  05 00 00 00              | 92 attr. mtimensec
  06 00 00 00              | 96 attr. ctimensec
  a4 81 00 00              | 100 attr. mode
  02 00 00 00              | 104 attr. nlink
  e8 03 00 00              | 108 attr. uid
  fe ff ff ff              | 112 attr. gid
  01 08 00 00              | 116 attr. rdev
  00 10 00 00              | 120 attr. blksize
  01 00 00 00              | 124 attr. flags
`);
  const value = {
    node: opaque(7, 0xffff_ffff),
    generation: opaque(2, 0x1000_0000),
    entryValid: { seconds: 3, nanoseconds: 5 },
    attrValid: { seconds: 4, nanoseconds: 6 },
    attr: {
      inode: opaque(0x76543210, 0xfedcba98),
      size: 0x1_0000_0002,
      blocks: 8_388_609,
      atimeSeconds: 1_700_000_001,
      mtimeSeconds: -2,
      ctimeSeconds: 0x1_0000_0003,
      atimeNanoseconds: 999_999_999,
      mtimeNanoseconds: 5,
      ctimeNanoseconds: 6,
      mode: 0o100644,
      links: 2,
      uid: 1000,
      gid: 0xffff_fffe,
      rdev: 0x0801,
      blockSize: 4096,
      flags: 1,
    },
  } satisfies EntryOut;

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(ENTRY_OUT_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createEntryOut();
    readEntryOut(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeEntryOut(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_forget_in", () => {
  const golden = goldenBytes(`
  06 00 00 00 05 00 00 00  | 0 nlookup
`);
  const value = 0x5_0000_0006;

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(FORGET_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    expect(readForgetIn(golden, 0)).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeForgetIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_batch_forget_in", () => {
  const golden = goldenBytes(`
  02 00 00 00              | 0 count
  00 00 00 00              | 4 dummy
`);
  const value = 2;

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(BATCH_FORGET_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    expect(readBatchForgetIn(golden, 0)).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeBatchForgetIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_forget_one", () => {
  const golden = goldenBytes(`
  01 ff ff ff ff ff ff ff  | 0 nodeid
  03 00 00 00 00 00 00 00  | 8 nlookup
`);
  const value = { node: opaque(0xffff_ff01, 0xffff_ffff), lookups: 3 };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(FORGET_ONE_SIZE));
  test("FUSE 7.38: is read", () => {
    const node = opaque();
    expect(readForgetOne(golden, 0, node)).toBe(value.lookups);
    expect(node).toEqual(value.node);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeForgetOne(bytes, 0, value.node, value.lookups);
    expect(bytes).toEqual(golden);
  });
});
