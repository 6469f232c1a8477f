/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import {
  ATTR_OUT_SIZE,
  ATTR_SIZE,
  type Attr,
  createAttr,
  createSetattrIn,
  GETATTR_IN_SIZE,
  readAttr,
  readAttrOut,
  readGetattrIn,
  readSetattrIn,
  SETATTR_IN_SIZE,
  SetattrValid,
  writeAttr,
  writeAttrOut,
  writeGetattrIn,
  writeSetattrIn,
} from "./attributes.ts";
import { opaque } from "./integers.ts";

const attr: Attr = {
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
};

describe("struct fuse_attr", () => {
  const golden = goldenBytes(`
  10 32 54 76 98 ba dc fe  | 0 ino
  02 00 00 00 01 00 00 00  | 8 size
  01 00 80 00 00 00 00 00  | 16 blocks
  01 f1 53 65 00 00 00 00  | 24 atime
  fe ff ff ff ff ff ff ff  | 32 mtime
  03 00 00 00 01 00 00 00  | 40 ctime
  ff c9 9a 3b              | 48 atimensec
  05 00 00 00              | 52 mtimensec
  06 00 00 00              | 56 ctimensec
  a4 81 00 00              | 60 mode
  02 00 00 00              | 64 nlink
  e8 03 00 00              | 68 uid
  fe ff ff ff              | 72 gid
  01 08 00 00              | 76 rdev
  00 10 00 00              | 80 blksize
  01 00 00 00              | 84 flags
`);
  const value = attr;

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(ATTR_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createAttr();
    readAttr(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeAttr(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });

  test("FUSE 7.38: a size above 2^53 - 1 reads as -1", () => {
    const bytes = golden.slice();
    bytes[15] = 0x80;
    const into = createAttr();
    readAttr(bytes, 0, into);
    expect(into.size).toBe(-1);
  });
});

describe("struct fuse_attr_out", () => {
  const golden = goldenBytes(`
  01 00 00 00 00 00 00 00  | 0 attr_valid
  00 65 cd 1d              | 8 attr_valid_nsec
  00 00 00 00              | 12 dummy
  10 32 54 76 98 ba dc fe  | 16 attr. ino
  02 00 00 00 01 00 00 00  | 24 attr. size
  01 00 80 00 00 00 00 00  | 32 attr. blocks
  01 f1 53 65 00 00 00 00  | 40 attr. atime
  fe ff ff ff ff ff ff ff  | 48 attr. mtime
  03 00 00 00 01 00 00 00  | 56 attr. ctime
  ff c9 9a 3b              | 64 attr. atimensec
  05 00 00 00              | 68 attr. mtimensec
  06 00 00 00              | 72 attr. ctimensec
  a4 81 00 00              | 76 attr. mode
  02 00 00 00              | 80 attr. nlink
  e8 03 00 00              | 84 attr. uid
  fe ff ff ff              | 88 attr. gid
  01 08 00 00              | 92 attr. rdev
  00 10 00 00              | 96 attr. blksize
  01 00 00 00              | 100 attr. flags
`);
  const value = { validity: { seconds: 1, nanoseconds: 500_000_000 }, attr };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(ATTR_OUT_SIZE));
  test("FUSE 7.38: is read", () => {
    const validity = { seconds: 0, nanoseconds: 0 };
    const into = createAttr();
    readAttrOut(golden, 0, validity, into);
    expect({ validity, attr: into }).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeAttrOut(bytes, 0, value.validity, value.attr);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_getattr_in", () => {
  const golden = goldenBytes(`
  01 00 00 00              | 0 getattr_flags
  00 00 00 00              | 4 dummy
  02 01 f0 e0 d0 c0 b0 a0  | 8 fh
`);
  const value = { flags: 1, handle: opaque(0xe0f0_0102, 0xa0b0_c0d0) };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(GETATTR_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { flags: 0, handle: opaque() };
    readGetattrIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeGetattrIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_setattr_in", () => {
  const golden = goldenBytes(`
  09 01 00 00              | 0 valid
  00 00 00 00              | 4 padding
  02 01 f0 e0 d0 c0 b0 a0  | 8 fh
  04 00 00 00 03 00 00 00  | 16 size
  00 00 00 00 00 00 00 00  | 24 lock_owner
  01 00 00 00 00 00 00 00  | 32 atime
  ff ff ff ff ff ff ff ff  | 40 mtime
  03 00 00 00 00 00 00 00  | 48 ctime
  04 00 00 00              | 56 atimensec
  05 00 00 00              | 60 mtimensec
  06 00 00 00              | 64 ctimensec
  80 01 00 00              | 68 mode
  00 00 00 00              | 72 unused4
  07 00 00 00              | 76 uid
  08 00 00 00              | 80 gid
  00 00 00 00              | 84 unused5
`);
  const value = {
    valid: SetattrValid.Mode | SetattrValid.Size | SetattrValid.MtimeNow,
    handle: opaque(0xe0f0_0102, 0xa0b0_c0d0),
    size: 0x3_0000_0004,
    atimeSeconds: 1,
    mtimeSeconds: -1,
    ctimeSeconds: 3,
    atimeNanoseconds: 4,
    mtimeNanoseconds: 5,
    ctimeNanoseconds: 6,
    mode: 0o600,
    uid: 7,
    gid: 8,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(SETATTR_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createSetattrIn();
    readSetattrIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeSetattrIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});
