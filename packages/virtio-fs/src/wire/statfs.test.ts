/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import { readStatfsOut, STATFS_OUT_SIZE, writeStatfsOut } from "./statfs.ts";

describe("struct fuse_statfs_out", () => {
  const golden = goldenBytes(`
  00 00 00 00 01 00 00 00  | 0 st.blocks
  e8 03 00 00 00 00 00 00  | 8 st.bfree
  84 03 00 00 00 00 00 00  | 16 st.bavail
  f4 01 00 00 00 00 00 00  | 24 st.files
  90 01 00 00 00 00 00 00  | 32 st.ffree
  00 10 00 00              | 40 st.bsize
  ff 00 00 00              | 44 st.namelen
  00 02 00 00              | 48 st.frsize
  00 00 00 00              | 52 st.padding
  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 | 56 st.spare
  00 00 00 00 00 00 00 00  |
`);
  const value = {
    blocks: 0x1_0000_0000,
    blocksFree: 1000,
    blocksAvailable: 900,
    files: 500,
    filesFree: 400,
    blockSize: 4096,
    nameLength: 255,
    fragmentSize: 512,
  };

  test("FUSE 7.38: has its size", () => expect(golden.length).toBe(STATFS_OUT_SIZE));
  test("FUSE 7.38: is read", () => {
    const into = {
      blocks: 0,
      blocksFree: 0,
      blocksAvailable: 0,
      files: 0,
      filesFree: 0,
      blockSize: 0,
      nameLength: 0,
      fragmentSize: 0,
    };
    readStatfsOut(golden, 0, into);
    expect(into).toEqual(value);
  });
  test("FUSE 7.38: is written, every byte of it", () => {
    const bytes = new Uint8Array(golden.length).fill(0xaa);
    writeStatfsOut(bytes, 0, value);
    expect(bytes).toEqual(golden);
  });
});
