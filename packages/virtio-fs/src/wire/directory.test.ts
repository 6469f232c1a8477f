/** The bytes were laid out by a C compiler from the kernel's own header (linux/fuse.h, 7.38), not by our code. */
import { describe, expect, test } from "vitest";
import { goldenBytes } from "../testing/golden.ts";
import { DirentReader, direntplusSize, direntSize, writeDirent, writeDirentplus } from "./directory.ts";
import { createEntryOut, ENTRY_OUT_SIZE } from "./entry.ts";
import { opaque } from "./integers.ts";

const golden = goldenBytes(`
  10 32 54 76 98 ba dc fe  | 0 ino
  03 00 00 00 00 00 00 80  | 8 off
  05 00 00 00              | 16 namelen
  08 00 00 00              | 20 type
  61 2e 74 78 74           | 24 name
  00 00 00                 | 29 padding
`);
const name = new TextEncoder().encode("a.txt");
const dirent = { inode: opaque(0x7654_3210, 0xfedc_ba98), offset: opaque(3, 0x8000_0000), type: 8 };

describe("struct fuse_dirent", () => {
  test("FUSE 7.38: is written with its padding", () => {
    const bytes = new Uint8Array(40).fill(0xaa);
    expect(writeDirent(bytes, 0, dirent, name)).toBe(32);
    expect(bytes.subarray(0, 32)).toEqual(golden);
    expect(bytes[32]).toBe(0xaa);
  });
  test("FUSE 7.38: sizes are padded to 8 (FUSE_DIRENT_ALIGN), the name starts at 24 and 152", () => {
    expect([direntSize(1), direntSize(8), direntSize(9), direntplusSize(1), direntplusSize(255)]).toEqual([
      32, 32, 40, 160, 408,
    ]);
  });
  test("FUSE 7.38: is read, also without the padding of the last item", () => {
    for (const end of [32, 29]) {
      const reader = new DirentReader();
      reader.start(golden, 0, end, "dirent");
      expect(reader.next()).toBe(true);
      expect({ inode: reader.inode, offset: reader.offset, type: reader.type }).toEqual(dirent);
      expect(golden.subarray(reader.nameStart, reader.nameEnd)).toEqual(name);
      expect(reader.next()).toBe(false);
      expect(reader.malformed).toBeUndefined();
    }
  });
});

describe("struct fuse_direntplus", () => {
  test("FUSE 7.21: an entry stands before the dirent", () => {
    const bytes = new Uint8Array(400);
    const entry = createEntryOut();
    entry.node = opaque(5, 0xffff_ffff);
    const size = writeDirentplus(bytes, 0, entry, dirent, name);
    const second = writeDirentplus(bytes, size, createEntryOut(), dirent, name.subarray(0, 1));
    expect([size, second]).toEqual([160, 160]);
    expect(bytes.subarray(ENTRY_OUT_SIZE, 160)).toEqual(golden);
    const reader = new DirentReader();
    reader.start(bytes, 0, size + second, "direntplus");
    expect(reader.next()).toBe(true);
    expect(reader.entry).toEqual(entry);
    expect(bytes.subarray(reader.nameStart, reader.nameEnd)).toEqual(name);
    expect(reader.next()).toBe(true);
    expect(reader.entry.node).toEqual(opaque());
    expect(reader.next()).toBe(false);
  });
});

describe("a malformed directory", () => {
  const broken = (end: number, change: (bytes: Uint8Array) => void): string | undefined => {
    const bytes = golden.slice();
    change(bytes);
    const reader = new DirentReader();
    reader.start(bytes, 0, end, "dirent");
    expect(reader.next()).toBe(false);
    expect(reader.next()).toBe(false);
    return reader.malformed;
  };
  test("that is cut off in the header", () => expect(broken(23, () => {})).toMatch("cut off: 23 bytes"));
  test("that is cut off in the name", () => expect(broken(28, () => {})).toMatch("name of 5 bytes is cut off"));
  test("with an empty name", () => expect(broken(32, (b) => b.fill(0, 16, 20))).toMatch("a name of 0 bytes"));
  test("with a name longer than any", () =>
    expect(broken(32, (b) => b.fill(0xff, 16, 20))).toMatch("4294967295 bytes"));
});
