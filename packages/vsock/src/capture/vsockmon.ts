/**
 * A capture of vsock packets as a pcap file that Wireshark reads: link type LINKTYPE_VSOCK, each packet in the format
 * of Linux's vsockmon devices (include/uapi/linux/vsockmon.h):
 *
 * | offset | field    | size | offset | field       | size |
 * |--------|----------|------|--------|-------------|------|
 * | 0      | src_cid  | le64 | 24     | op          | le16 |
 * | 8      | dst_cid  | le64 | 26     | transport   | le16 |
 * | 16     | src_port | le32 | 28     | len         | le16 |
 * | 20     | dst_port | le32 | 30     | reserved[2] |      |
 *
 * then `len` bytes of the transport's own header (the 44 of §5.10.6), then the payload.
 */
import { gatherBytes, type QueueTap } from "@toril/virtio";
import { HEADER_SIZE, PacketHeader, putLe32, readHeaderBytes } from "../wire/header.ts";
import { Op, QueueIndex } from "../wire/ops.ts";

/** Where the pcap file goes, piece by piece; each piece may be kept. Must not throw. */
export type CaptureSink = (bytes: Uint8Array) => void;

/** The file header: magic of nanosecond files, version 2.4, time zone and accuracy 0, snap length, link type. */
const MAGIC_NANOSECONDS = 0xa1b2_3c4d;
const LINKTYPE_VSOCK = 271;
/** Larger than any packet here; readers refuse more than 256 KiB. */
const SNAP_LENGTH = 262_144;
const FILE_HEADER_SIZE = 24;
const RECORD_HEADER_SIZE = 16;
const VSOCKMON_HEADER_SIZE = 32;

/** enum af_vsockmon_op */
const MonOp = { Unknown: 0, Connect: 1, Disconnect: 2, Control: 3, Payload: 4 } as const;
/** enum af_vsockmon_transport */
const MonTransport = { Unknown: 0, Virtio: 2 } as const;

const MON_OPS = new Map<number, number>([
  [Op.Request, MonOp.Connect],
  [Op.Response, MonOp.Connect],
  [Op.Rst, MonOp.Disconnect],
  [Op.Shutdown, MonOp.Disconnect],
  [Op.Rw, MonOp.Payload],
  [Op.CreditUpdate, MonOp.Control],
  [Op.CreditRequest, MonOp.Control],
]);

/**
 * A tap for a vsock driver: writes the file header at once, then a record for each packet that the driver sends (when it
 * makes it available) and receives (when the device has used its buffer).
 * @param wallClockMs milliseconds since 1970, with a fraction
 */
export function vsockCapture(sink: CaptureSink, wallClockMs: () => number): QueueTap {
  sink(fileHeader());
  return {
    available(queueIndex, { readable }) {
      if (queueIndex === QueueIndex.Tx) sink(record(wallClockMs(), gatherBytes(readable, Number.POSITIVE_INFINITY)));
    },
    used(queueIndex, { writable }, written) {
      if (queueIndex === QueueIndex.Rx) sink(record(wallClockMs(), gatherBytes(writable, written)));
    },
  };
}

function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(FILE_HEADER_SIZE);
  putLe32(bytes, 0, MAGIC_NANOSECONDS);
  putLe16(bytes, 4, 2);
  putLe16(bytes, 6, 4);
  putLe32(bytes, 16, SNAP_LENGTH);
  putLe32(bytes, 20, LINKTYPE_VSOCK);
  return bytes;
}

/** One packet: the pcap record header, the vsockmon header, the packet. */
function record(timeMs: number, packet: Uint8Array): Uint8Array {
  const length = Math.min(VSOCKMON_HEADER_SIZE + packet.length, SNAP_LENGTH);
  const bytes = new Uint8Array(RECORD_HEADER_SIZE + VSOCKMON_HEADER_SIZE + packet.length);
  const seconds = Math.floor(timeMs / 1000);
  putLe32(bytes, 0, seconds);
  putLe32(bytes, 4, Math.floor((timeMs - seconds * 1000) * 1e6));
  putLe32(bytes, 8, length);
  putLe32(bytes, 12, VSOCKMON_HEADER_SIZE + packet.length);
  putVsockmonHeader(bytes, RECORD_HEADER_SIZE, packet);
  bytes.set(packet, RECORD_HEADER_SIZE + VSOCKMON_HEADER_SIZE);
  return bytes.subarray(0, RECORD_HEADER_SIZE + length);
}

/** A packet too short for a header goes in as it is, as payload of an unknown transport: a capture hides nothing. */
function putVsockmonHeader(bytes: Uint8Array, at: number, packet: Uint8Array): void {
  if (packet.length < HEADER_SIZE) {
    putLe16(bytes, at + 26, MonTransport.Unknown);
    return;
  }
  const header = new PacketHeader();
  readHeaderBytes(packet, 0, header);
  putLe32(bytes, at, header.srcCid);
  putLe32(bytes, at + 4, header.srcCidHigh);
  putLe32(bytes, at + 8, header.dstCid);
  putLe32(bytes, at + 12, header.dstCidHigh);
  putLe32(bytes, at + 16, header.srcPort);
  putLe32(bytes, at + 20, header.dstPort);
  putLe16(bytes, at + 24, MON_OPS.get(header.op) ?? MonOp.Unknown);
  putLe16(bytes, at + 26, MonTransport.Virtio);
  putLe16(bytes, at + 28, HEADER_SIZE);
}

function putLe16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}
