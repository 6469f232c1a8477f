/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import {
  createInHeader,
  createOutHeader,
  IN_HEADER_SIZE,
  OUT_HEADER_SIZE,
  readInHeader,
  readOutHeader,
  writeInHeader,
  writeOutHeader,
} from "./header.ts";
import { opaque } from "./integers.ts";

describe("struct fuse_in_header", () => {
  const golden = goldenBytes(`
  38 00 00 00              | 0 len
  03 00 00 00              | 4 opcode
  01 00 00 00 00 00 00 80  | 8 unique
  ff ff ff ff ff ff ff ff  | 16 nodeid
  e8 03 00 00              | 24 uid
  64 00 00 00              | 28 gid
  92 10 00 00              | 32 pid
  03 00                    | 36 total_extlen
  00 00                    | 38 padding
`);
  const value = {
    length: 56,
    opcode: 3,
    unique: opaque(1, 0x8000_0000),
    node: opaque(0xffff_ffff, 0xffff_ffff),
    uid: 1000,
    gid: 100,
    pid: 4242,
    extensionUnits: 3,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(IN_HEADER_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createInHeader();
    readInHeader(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeInHeader(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});

describe("struct fuse_out_header", () => {
  const golden = goldenBytes(`
  10 00 00 00              | 0 len
  fe ff ff ff              | 4 error
  88 77 66 55 44 33 22 11  | 8 unique
`);
  const value = { length: 16, error: -2, unique: opaque(0x5566_7788, 0x1122_3344) };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(OUT_HEADER_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = createOutHeader();
    readOutHeader(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeOutHeader(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});
