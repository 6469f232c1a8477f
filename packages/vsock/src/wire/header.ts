/**
 * The 44-byte header of every packet (virtio 1.3 §5.10.6):
 *
 * | offset | field     | size | offset | field     | size |
 * |--------|-----------|------|--------|-----------|------|
 * | 0      | src_cid   | le64 | 28     | type      | le16 |
 * | 8      | dst_cid   | le64 | 30     | op        | le16 |
 * | 16     | src_port  | le32 | 32     | flags     | le32 |
 * | 20     | dst_port  | le32 | 36     | buf_alloc | le32 |
 * | 24     | len       | le32 | 40     | fwd_cnt   | le32 |
 *
 * It is read once, into a `PacketHeader` that its reader owns; nothing is looked up in shared memory afterwards.
 */
import { type GuestMemory, GuestMemoryError } from "@toril/memory";

export const HEADER_SIZE = 44;

/** A header outside guest memory. One object is reused for all packets of a reader or writer. */
export class PacketHeader {
  srcCid = 0;
  /** Upper half of src_cid: reserved and zero (§5.10.4); kept so that it can be checked. */
  srcCidHigh = 0;
  dstCid = 0;
  dstCidHigh = 0;
  srcPort = 0;
  dstPort = 0;
  /** Payload bytes that follow the header. */
  len = 0;
  type = 0;
  op = 0;
  flags = 0;
  /** The sender's receive window in bytes. */
  bufAlloc = 0;
  /** Bytes the sender's user has consumed, free running mod 2^32. */
  fwdCnt = 0;
}

/**
 * Reads the header at a guest address.
 * @throws GuestMemoryError when it is not all in one region; addresses that a queue has checked always are.
 */
export function readHeader(memory: GuestMemory, address: number, into: PacketHeader): void {
  const region = regionOf(memory, address);
  const offset = address - region.base;
  if ((offset & 3) === 0) readHeaderWords(region.u32, offset >>> 2, into);
  else readHeaderBytes(region.u8, offset, into);
}

/**
 * Writes the header at a guest address. Plain stores: publishing the descriptor is the barrier.
 * @throws GuestMemoryError when it is not all in one region.
 */
export function writeHeader(memory: GuestMemory, address: number, from: PacketHeader): void {
  const region = regionOf(memory, address);
  const offset = address - region.base;
  if ((offset & 3) === 0) writeHeaderWords(region.u32, offset >>> 2, from);
  else writeHeaderBytes(region.u8, offset, from);
}

/**
 * Makes what lies at an address, a multiple of 4, nobody's packet: dst_cid becomes 0, which is reserved (§5.10.4). One
 * store.
 * @throws GuestMemoryError as `writeHeader`.
 */
export function eraseHeader(memory: GuestMemory, address: number): void {
  const region = regionOf(memory, address);
  region.u32[(address - region.base + 8) >>> 2] = 0;
}

function regionOf(memory: GuestMemory, address: number): NonNullable<ReturnType<GuestMemory["locate"]>> {
  const region = memory.locate(address, HEADER_SIZE);
  if (region !== undefined) return region;
  throw new GuestMemoryError(`a packet header at guest address ${address} is not in guest memory`);
}

/** The aligned way: eleven loads. `index` counts words. */
function readHeaderWords(words: Uint32Array, index: number, into: PacketHeader): void {
  into.srcCid = words[index] ?? 0;
  into.srcCidHigh = words[index + 1] ?? 0;
  into.dstCid = words[index + 2] ?? 0;
  into.dstCidHigh = words[index + 3] ?? 0;
  into.srcPort = words[index + 4] ?? 0;
  into.dstPort = words[index + 5] ?? 0;
  into.len = words[index + 6] ?? 0;
  const typeAndOp = words[index + 7] ?? 0;
  into.type = typeAndOp & 0xffff;
  into.op = typeAndOp >>> 16;
  into.flags = words[index + 8] ?? 0;
  into.bufAlloc = words[index + 9] ?? 0;
  into.fwdCnt = words[index + 10] ?? 0;
}

function writeHeaderWords(words: Uint32Array, index: number, from: PacketHeader): void {
  words[index] = from.srcCid;
  words[index + 1] = from.srcCidHigh;
  words[index + 2] = from.dstCid;
  words[index + 3] = from.dstCidHigh;
  words[index + 4] = from.srcPort;
  words[index + 5] = from.dstPort;
  words[index + 6] = from.len;
  words[index + 7] = from.type | (from.op << 16);
  words[index + 8] = from.flags;
  words[index + 9] = from.bufAlloc;
  words[index + 10] = from.fwdCnt;
}

/** The way for any alignment; `offset` counts bytes. Also for headers that were gathered from several descriptors. */
export function readHeaderBytes(bytes: Uint8Array, offset: number, into: PacketHeader): void {
  into.srcCid = le32(bytes, offset);
  into.srcCidHigh = le32(bytes, offset + 4);
  into.dstCid = le32(bytes, offset + 8);
  into.dstCidHigh = le32(bytes, offset + 12);
  into.srcPort = le32(bytes, offset + 16);
  into.dstPort = le32(bytes, offset + 20);
  into.len = le32(bytes, offset + 24);
  const typeAndOp = le32(bytes, offset + 28);
  into.type = typeAndOp & 0xffff;
  into.op = typeAndOp >>> 16;
  into.flags = le32(bytes, offset + 32);
  into.bufAlloc = le32(bytes, offset + 36);
  into.fwdCnt = le32(bytes, offset + 40);
}

export function writeHeaderBytes(bytes: Uint8Array, offset: number, from: PacketHeader): void {
  putLe32(bytes, offset, from.srcCid);
  putLe32(bytes, offset + 4, from.srcCidHigh);
  putLe32(bytes, offset + 8, from.dstCid);
  putLe32(bytes, offset + 12, from.dstCidHigh);
  putLe32(bytes, offset + 16, from.srcPort);
  putLe32(bytes, offset + 20, from.dstPort);
  putLe32(bytes, offset + 24, from.len);
  putLe32(bytes, offset + 28, from.type | (from.op << 16));
  putLe32(bytes, offset + 32, from.flags);
  putLe32(bytes, offset + 36, from.bufAlloc);
  putLe32(bytes, offset + 40, from.fwdCnt);
}

/** An unsigned little-endian 32-bit number. */
export function le32(bytes: Uint8Array, offset: number): number {
  const low = (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
  return (low | ((bytes[offset + 2] ?? 0) << 16) | ((bytes[offset + 3] ?? 0) << 24)) >>> 0;
}

export function putLe32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}
