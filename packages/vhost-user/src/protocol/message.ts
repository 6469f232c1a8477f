/**
 * vhost-user messages ("Message Specification"): a header of 12 bytes, then a payload, and descriptors beside it. The
 * protocol uses the machine's own byte order: little-endian on every machine that this runs on.
 */

/** Requests of the front-end. Numbers that are missing are of devices and situations that this package does not have. */
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
  SetVringErr: 14,
  GetProtocolFeatures: 15,
  SetProtocolFeatures: 16,
  GetQueueNum: 17,
  SetVringEnable: 18,
  SetBackendReqFd: 21,
  GetConfig: 24,
  SetConfig: 25,
  GetInflightFd: 31,
  SetInflightFd: 32,
  ResetDevice: 34,
  SetStatus: 39,
  GetStatus: 40,
} as const;

export type Request = (typeof Request)[keyof typeof Request];

/** Requests of the back-end, on the socket that SET_BACKEND_REQ_FD gave it. */
export const BackendRequest = { ConfigChange: 2 } as const;

/** Bits of GET_PROTOCOL_FEATURES. */
export const ProtocolFeature = {
  /** GET_QUEUE_NUM. */
  MQ: 0,
  /** A back-end answers requests that ask for it by NEED_REPLY. */
  REPLY_ACK: 3,
  /** The back-end may send requests of its own. */
  BACKEND_REQ: 5,
  /** GET_CONFIG, SET_CONFIG, and the back-end's CONFIG_CHANGE. */
  CONFIG: 9,
  /** GET_INFLIGHT_FD, SET_INFLIGHT_FD. */
  INFLIGHT_SHMFD: 12,
  /** RESET_DEVICE. */
  RESET_DEVICE: 13,
  /** SET_STATUS, GET_STATUS. */
  STATUS: 16,
} as const;

/** VHOST_USER_F_PROTOCOL_FEATURES: a feature bit between the two ends, never the driver's. */
export const PROTOCOL_FEATURES_BIT: bigint = 1n << 30n;
/** VHOST_F_LOG_ALL: for migration; a driver never accepts it. */
export const LOG_ALL_BIT: bigint = 1n << 26n;

export const HEADER_SIZE = 12;
/** More than any message here has: a config space of 256 bytes, a table of 8 regions. A peer that says more is not believed. */
export const MAX_PAYLOAD = 1024;

/** Header flags: version 1 in the lowest two bits; a reply; the sender wants an acknowledgement. */
const VERSION = 0x1;
const VERSION_MASK = 0x3;
const REPLY = 0x4;
const NEED_REPLY = 0x8;
const KNOWN_FLAGS = VERSION_MASK | REPLY | NEED_REPLY;

export type MessageKind = "request" | "request-with-ack" | "reply";

export interface Header {
  readonly request: number;
  readonly kind: MessageKind;
  /** Bytes of payload. */
  readonly size: number;
}

export function encodeMessage(request: number, payload: Uint8Array, kind: MessageKind): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + payload.length);
  const view = new DataView(bytes.buffer);
  const flag = { request: 0, "request-with-ack": NEED_REPLY, reply: REPLY }[kind];
  view.setUint32(0, request, true);
  view.setUint32(4, VERSION | flag, true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, HEADER_SIZE);
  return bytes;
}

/** A header as it was received, or what is wrong with it. */
export function decodeHeader(bytes: Uint8Array): Header | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const request = view.getUint32(0, true);
  const flags = view.getUint32(4, true);
  const size = view.getUint32(8, true);
  if ((flags & VERSION_MASK) !== VERSION || (flags & ~KNOWN_FLAGS) !== 0) {
    return `message ${request} has flags 0x${flags.toString(16)}: version 1 of the protocol has others`;
  }
  if (size > MAX_PAYLOAD) return `message ${request} says that it has ${size} bytes: at most ${MAX_PAYLOAD} make sense`;
  // A reply may repeat the NEED_REPLY of its request: some back-ends do.
  if ((flags & REPLY) !== 0) return { request, kind: "reply", size };
  return { request, kind: (flags & NEED_REPLY) !== 0 ? "request-with-ack" : "request", size };
}

const names = new Map<number, string>(
  Object.entries(Request).map(([name, number]) => [number, name.replace(/(?<!^)([A-Z])/g, "_$1").toUpperCase()]),
);

/** A request's name in the specification, such as `SET_MEM_TABLE`. */
export function requestName(request: number): string {
  return names.get(request) ?? `request ${request}`;
}

/** The bits of some protocol features. */
export function protocolBits(...features: readonly number[]): bigint {
  return features.reduce((bits, feature) => bits | (1n << BigInt(feature)), 0n);
}
