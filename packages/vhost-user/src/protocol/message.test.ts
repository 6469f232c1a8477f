/** Bytes after the vhost-user specification's own tables, written down by hand. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeHeader, encodeMessage, MAX_PAYLOAD, Request, requestName } from "./message.ts";
import * as payloads from "./payloads.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("vhost-user, Message Specification", () => {
  test("Header: request, flags with version 1, size; then the payload", () => {
    expect(hex(encodeMessage(Request.SetVringNum, payloads.vringState(2, 256), "request"))).toBe(
      "08000000" + "01000000" + "08000000" + "02000000" + "00010000",
    );
    const empty = new Uint8Array(0);
    expect(hex(encodeMessage(Request.SetOwner, empty, "request-with-ack"))).toBe("03000000" + "09000000" + "00000000");
    expect(hex(encodeMessage(Request.GetStatus, empty, "reply"))).toBe("28000000" + "05000000" + "00000000");
  });

  test("Header: version, flags and size are checked", () => {
    const header = (request: number, flags: number, size: number): Uint8Array =>
      new Uint8Array(Uint32Array.of(request, flags, size).buffer);
    expect(decodeHeader(header(1, 0x5, 8))).toEqual({ request: 1, kind: "reply", size: 8 });
    expect(decodeHeader(header(1, 0xd, 8))).toEqual({ request: 1, kind: "reply", size: 8 });
    expect(decodeHeader(header(1, 0x1, 0))).toEqual({ request: 1, kind: "request", size: 0 });
    expect(decodeHeader(header(1, 0x9, 0))).toEqual({ request: 1, kind: "request-with-ack", size: 0 });
    expect(decodeHeader(header(1, 0x6, 8))).toContain("flags 0x6");
    expect(decodeHeader(header(1, 0x15, 8))).toContain("flags 0x15");
    expect(decodeHeader(header(1, 0x5, MAX_PAYLOAD + 1))).toContain("1025 bytes");
    expect(decodeHeader(header(1, 0x5, 0xffff_ffff))).toContain("4294967295");
  });

  test("any 12 bytes are a header or a sentence", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 12 }), (bytes) => {
        const header = decodeHeader(bytes);
        return typeof header === "string" ? header.length > 0 : header.size <= MAX_PAYLOAD;
      }),
    );
  });

  test("a request has its name in the specification", () => {
    expect(requestName(Request.SetMemTable)).toBe("SET_MEM_TABLE");
    expect(requestName(77)).toBe("request 77");
  });

  test("A vring address description: index, flags, descriptors, used, available, log", () => {
    const address = { index: 1, descriptors: 0x7f00_0000_1000n, used: 0x7f00_0000_3000n, available: 0x7f00_0000_2000n };
    const bytes = payloads.vringAddress(address);
    expect(hex(bytes)).toBe(
      "01000000" + "00000000" + "00100000007f0000" + "00300000007f0000" + "00200000007f0000" + "0000000000000000",
    );
    expect(payloads.readVringAddress(bytes)).toEqual(address);
    expect(payloads.readVringAddress(bytes.subarray(1))).toBeUndefined();
  });

  test("Memory regions description: regions of guest address, size, user address, mmap offset", () => {
    const one = { guestAddress: 0n, size: 0x200_0000n, userAddress: 0x7f12_3456_7000n, mmapOffset: 0n };
    const two = { guestAddress: 0x1_0000_0000n, size: 0x1000n, userAddress: 0x7f12_0000_0000n, mmapOffset: 0x2000n };
    const bytes = payloads.memoryTable([one, two]);
    expect(hex(bytes)).toBe(
      "02000000" +
        "00000000" +
        ("0000000000000000" + "0000000200000000" + "00705634127f0000" + "0000000000000000") +
        ("0000000001000000" + "0010000000000000" + "00000000127f0000" + "0020000000000000"),
    );
    expect(payloads.readMemoryTable(bytes)).toEqual([one, two]);
    expect(payloads.readMemoryTable(bytes.subarray(0, 60))).toBeUndefined();
    expect(payloads.readMemoryTable(Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0))).toBeUndefined();
  });

  test("Virtio device config space: offset, size, flags, the bytes", () => {
    const bytes = payloads.configSpace(36, Uint8Array.of(1, 2));
    expect(hex(bytes)).toBe("24000000" + "02000000" + "00000000" + "0102");
    expect(payloads.readConfigSpace(bytes)).toEqual({ offset: 36, bytes: Uint8Array.of(1, 2) });
    expect(payloads.readConfigSpace(bytes.subarray(0, 13))).toBeUndefined();
  });

  test("Inflight description: mmap size, mmap offset, number of queues, queue size", () => {
    const described = { mmapSize: 0x1000n, mmapOffset: 0x10n, queues: 2, queueSize: 128 };
    const bytes = payloads.inflight(described);
    expect(hex(bytes)).toBe("0010000000000000" + "1000000000000000" + "0200" + "8000" + "00000000");
    expect(payloads.readInflight(bytes)).toEqual(described);
    expect(payloads.readInflight(bytes.subarray(0, 20))).toEqual(described);
    expect(payloads.readInflight(bytes.subarray(0, 16))).toBeUndefined();
  });

  test("a u64 survives both ways, and 7 bytes are none", () => {
    const any = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(fc.property(any, (value) => payloads.readU64(payloads.u64(value)) === value));
    expect(payloads.readU64(new Uint8Array(7))).toBeUndefined();
  });

  test("no payload decoder throws, whatever the bytes are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        payloads.readU64(bytes);
        payloads.readVringState(bytes);
        payloads.readVringAddress(bytes);
        payloads.readMemoryTable(bytes);
        payloads.readConfigSpace(bytes);
        payloads.readInflight(bytes);
      }),
    );
  });
});
