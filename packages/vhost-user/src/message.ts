/**
 * vhost-user messages, front-end to back-end (the vhost-user protocol, "Message Specification"): a header of 12 bytes,
 * then a payload; little-endian here, because the protocol uses the machine's own order and these machines are.
 */

/** The requests that this front-end sends. */
export const Request = {
  GetFeatures: 1,
  SetFeatures: 2,
  SetOwner: 3,
  SetMemTable: 5,
  SetVringNum: 8,
  SetVringAddr: 9,
  SetVringBase: 10,
  GetVringBase: 11,
  SetVringKick: 12,
  SetVringCall: 13,
  GetProtocolFeatures: 15,
  SetProtocolFeatures: 16,
  GetQueueNum: 17,
  SetVringEnable: 18,
} as const;

export type Request = (typeof Request)[keyof typeof Request];

/** Bits of GET_PROTOCOL_FEATURES. */
export const ProtocolFeature = { MQ: 0, REPLY_ACK: 3 } as const;

export const HEADER_SIZE = 12;
/** Header flags: version 1 in the lowest two bits; a reply; the sender wants an acknowledgement (REPLY_ACK). */
const VERSION = 0x1;
const VERSION_MASK = 0x3;
const REPLY = 0x4;
const NEED_REPLY = 0x8;
/** Payloads of replies that we ask for are 8 bytes; a peer that says more is not believed. */
const MAX_REPLY = 256;

export function encodeMessage(request: Request, payload: Uint8Array, acknowledge: "ack" | "no-ack"): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request, true);
  view.setUint32(4, VERSION | (acknowledge === "ack" ? NEED_REPLY : 0), true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, HEADER_SIZE);
  return bytes;
}

/** The length of a reply's payload, or what is wrong with its header. */
export function decodeReplyHeader(bytes: Uint8Array, expected: Request): number | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const request = view.getUint32(0, true);
  const flags = view.getUint32(4, true);
  const size = view.getUint32(8, true);
  if ((flags & VERSION_MASK) !== VERSION || (flags & REPLY) === 0)
    return `flags 0x${flags.toString(16)} are no reply's`;
  if (request !== expected) return `a reply to request ${request}, request ${expected} was asked`;
  return size <= MAX_REPLY ? size : `a payload of ${size} bytes`;
}

/** A u64: features, or a queue index with its descriptor. */
export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes;
}

export function readU64(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
}

/** "A vring state description": index, then a number. */
export function vringState(index: number, value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(index, value).buffer);
}

/** "A vring address description": the areas at addresses of the front-end's own process. */
export function vringAddress(index: number, descriptors: bigint, used: bigint, available: bigint): Uint8Array {
  const bytes = new Uint8Array(40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, index, true);
  view.setBigUint64(8, descriptors, true);
  view.setBigUint64(16, used, true);
  view.setBigUint64(24, available, true);
  return bytes;
}

/** "A single memory region description" in a table of one. */
export function memoryTable(guestAddress: bigint, size: bigint, userAddress: bigint): Uint8Array {
  const bytes = new Uint8Array(8 + 32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true);
  view.setBigUint64(8, guestAddress, true);
  view.setBigUint64(16, size, true);
  view.setBigUint64(24, userAddress, true);
  return bytes; // mmap offset 0
}
