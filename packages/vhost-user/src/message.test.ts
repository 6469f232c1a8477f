/** Bytes after the vhost-user specification's own tables, written down by hand. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeReplyHeader,
  encodeMessage,
  memoryTable,
  Request,
  readU64,
  u64,
  vringAddress,
  vringState,
} from "./message.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("vhost-user, Message Specification", () => {
  test("Header: request, flags with version 1, size; then the payload", () => {
    expect(hex(encodeMessage(Request.SetVringNum, vringState(2, 256), "no-ack"))).toBe(
      "08000000" + "01000000" + "08000000" + "02000000" + "00010000",
    );
    expect(hex(encodeMessage(Request.SetOwner, new Uint8Array(0), "ack"))).toBe("03000000" + "09000000" + "00000000");
  });

  test("A vring address description: index, flags, descriptors, used, available, log", () => {
    expect(hex(vringAddress(1, 0x7f00_0000_1000n, 0x7f00_0000_3000n, 0x7f00_0000_2000n))).toBe(
      "01000000" + "00000000" + "00100000007f0000" + "00300000007f0000" + "00200000007f0000" + "0000000000000000",
    );
  });

  test("Memory regions description: one region of guest address, size, user address, mmap offset", () => {
    expect(hex(memoryTable(0n, 0x200_0000n, 0x7f12_3456_7000n))).toBe(
      "01000000" + "00000000" + "0000000000000000" + "0000000200000000" + "00705634127f0000" + "0000000000000000",
    );
  });

  test("replies: the version, the reply flag, the request and the size are checked", () => {
    const header = (request: number, flags: number, size: number): Uint8Array =>
      new Uint8Array(Uint32Array.of(request, flags, size).buffer);
    expect(decodeReplyHeader(header(1, 0x5, 8), Request.GetFeatures)).toBe(8);
    expect(decodeReplyHeader(header(1, 0x1, 8), Request.GetFeatures)).toContain("no reply");
    expect(decodeReplyHeader(header(1, 0x6, 8), Request.GetFeatures)).toContain("no reply");
    expect(decodeReplyHeader(header(2, 0x5, 8), Request.GetFeatures)).toContain("request 2");
    expect(decodeReplyHeader(header(1, 0x5, 0xffff_ffff), Request.GetFeatures)).toContain("4294967295");
  });

  test("a u64 survives both ways", () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => readU64(u64(value)) === value));
  });
});
