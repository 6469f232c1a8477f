import { GuestMemory, guestAddress } from "@toril/memory";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HEADER_SIZE, PacketHeader, readHeader, readHeaderBytes, writeHeader, writeHeaderBytes } from "./header.ts";
import { Op, SocketType } from "./ops.ts";

/** An RW packet of 5 bytes from port 1024 of guest 3 to port 80 of the host, as §5.10.6 lays it out. */
const GOLDEN = Uint8Array.of(
  ...[0x03, 0, 0, 0, 0, 0, 0, 0], // src_cid = 3
  ...[0x02, 0, 0, 0, 0, 0, 0, 0], // dst_cid = 2
  ...[0x00, 0x04, 0, 0], // src_port = 1024
  ...[0x50, 0x00, 0, 0], // dst_port = 80
  ...[0x05, 0x00, 0, 0], // len = 5
  ...[0x01, 0x00], // type = STREAM
  ...[0x05, 0x00], // op = RW
  ...[0x00, 0x00, 0, 0], // flags = 0
  ...[0x00, 0x00, 0x04, 0], // buf_alloc = 262144
  ...[0xfe, 0xff, 0xff, 0xff], // fwd_cnt = 2^32 - 2
);

function golden(): PacketHeader {
  return Object.assign(new PacketHeader(), {
    srcCid: 3,
    dstCid: 2,
    srcPort: 1024,
    dstPort: 80,
    len: 5,
    type: SocketType.Stream,
    op: Op.Rw,
    bufAlloc: 262_144,
    fwdCnt: 0xffff_fffe,
  });
}

describe("§5.10.6 struct virtio_vsock_hdr", () => {
  test("is 44 little-endian bytes", () => {
    const bytes = new Uint8Array(HEADER_SIZE);
    writeHeaderBytes(bytes, 0, golden());
    expect(bytes).toEqual(GOLDEN);
    const read = new PacketHeader();
    readHeaderBytes(GOLDEN, 0, read);
    expect(read).toEqual(golden());
  });

  test("has the same bytes in guest memory at every alignment", () => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    for (let misalignment = 0; misalignment < 8; misalignment++) {
      const address = guestAddress(4096 + misalignment);
      writeHeader(memory, address, golden());
      expect(memory.bytes(address, HEADER_SIZE)).toEqual(GOLDEN);
      expect(memory.bytes(guestAddress(address + HEADER_SIZE), 8)).toEqual(new Uint8Array(8));
      const read = new PacketHeader();
      readHeader(memory, address, read);
      expect(read).toEqual(golden());
      memory.fill(address, HEADER_SIZE);
    }
  });

  test("comes back as it was for any values", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const u16 = fc.integer({ min: 0, max: 0xffff });
    const anyHeader = fc.record({
      ...{ srcCid: u32, srcCidHigh: u32, dstCid: u32, dstCidHigh: u32, srcPort: u32, dstPort: u32, len: u32 },
      ...{ type: u16, op: u16, flags: u32, bufAlloc: u32, fwdCnt: u32 },
    });
    const memory = GuestMemory.allocate({ size: 65_536 });
    fc.assert(
      fc.property(anyHeader, fc.integer({ min: 0, max: 64 }), (fields, offset) => {
        const written = Object.assign(new PacketHeader(), fields);
        const read = new PacketHeader();
        writeHeader(memory, offset, written);
        readHeader(memory, offset, read);
        expect(read).toEqual(written);
      }),
    );
  });

  test("a header that is not all in guest memory throws (the caller's bug)", () => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    expect(() => readHeader(memory, 65_536 - HEADER_SIZE + 1, new PacketHeader())).toThrow(/not in guest memory/);
  });
});
