/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import { opaque } from "./integers.ts";
import {
  createReadIn,
  createWriteIn,
  FALLOCATE_IN_SIZE,
  INTERRUPT_IN_SIZE,
  LSEEK_IN_SIZE,
  LSEEK_OUT_SIZE,
  READ_IN_SIZE,
  readFallocateIn,
  readInterruptIn,
  readLseekIn,
  readLseekOut,
  readReadIn,
  readWriteIn,
  readWriteOut,
  WRITE_IN_SIZE,
  WRITE_OUT_SIZE,
  writeFallocateIn,
  writeInterruptIn,
  writeLseekIn,
  writeLseekOut,
  writeReadIn,
  writeWriteIn,
  writeWriteOut,
} from "./io.ts";

describe("struct fuse_read_in", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  ff ff ff ff ff ff ff 7f  | 8 offset
  00 00 02 00              | 16 size
  00 00 00 00              | 20 read_flags
  00 00 00 00 00 00 00 00  | 24 lock_owner
  00 80 00 00              | 32 flags
  00 00 00 00              | 36 padding
`);
  const value = {
    handle: opaque(0xffff_fffe, 0xffff_ffff),
    offset: opaque(0xffff_ffff, 0x7fff_ffff),
    size: 131_072,
    readFlags: 0,
    flags: 0o100000,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(READ_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createReadIn();
    readReadIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeReadIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_write_in", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  ff ff ff ff ff ff 1f 00  | 8 offset
  00 10 00 00              | 16 size
  01 00 00 00              | 20 write_flags
  00 00 00 00 00 00 00 00  | 24 lock_owner
  01 00 00 00              | 32 flags
  00 00 00 00              | 36 padding
`);
  const value = {
    handle: opaque(0xffff_fffe, 0xffff_ffff),
    offset: Number.MAX_SAFE_INTEGER,
    size: 4096,
    writeFlags: 1,
    flags: 1,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(WRITE_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createWriteIn();
    readWriteIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeWriteIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_write_out", () => {
  const golden = goldenBytes(`
  00 10 00 00              | 0 size
  00 00 00 00              | 4 padding
`);
  const value = 4096;

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(WRITE_OUT_SIZE));
  test("FUSE 7.38: is read", () => {
    expect(readWriteOut(golden, 0)).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeWriteOut(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_fallocate_in", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  00 00 00 00 01 00 00 00  | 8 offset
  01 00 00 00 02 00 00 00  | 16 length
  01 00 00 00              | 24 mode
  00 00 00 00              | 28 padding
`);
  const value = { handle: opaque(0xffff_fffe, 0xffff_ffff), offset: 0x1_0000_0000, length: 0x2_0000_0001, mode: 1 };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(FALLOCATE_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { handle: opaque(), offset: 0, length: 0, mode: 0 };
    readFallocateIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeFallocateIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_lseek_in", () => {
  const golden = goldenBytes(`
  fe ff ff ff ff ff ff ff  | 0 fh
  00 00 00 00 01 00 00 00  | 8 offset
  04 00 00 00              | 16 whence
  00 00 00 00              | 20 padding
`);
  const value = { handle: opaque(0xffff_fffe, 0xffff_ffff), offset: 0x1_0000_0000, whence: 4 };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(LSEEK_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = { handle: opaque(), offset: 0, whence: 0 };
    readLseekIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeLseekIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_lseek_out", () => {
  const golden = goldenBytes(`
  00 02 00 00 01 00 00 00  | 0 offset
`);
  const value = 0x1_0000_0200;

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(LSEEK_OUT_SIZE));
  test("FUSE 7.38: is read", () => {
    expect(readLseekOut(golden, 0)).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeLseekOut(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_interrupt_in", () => {
  const golden = goldenBytes(`
  01 00 00 00 00 00 00 80  | 0 unique
`);
  const value = opaque(1, 0x8000_0000);

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(INTERRUPT_IN_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = opaque();
    readInterruptIn(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeInterruptIn(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});
