/** What stands in front of every request (struct fuse_in_header) and every reply (struct fuse_out_header). */
import { getI32, getOpaque, getU16, getU32, type Opaque64, opaque, putOpaque, putU16, putU32 } from "./integers.ts";

export const IN_HEADER_SIZE = 40;
export const OUT_HEADER_SIZE = 16;
/** FUSE_ROOT_ID: the node of the mount's root; nobody looks it up. */
export const ROOT_NODE_ID = 1;

export interface InHeader {
  /** Of the whole request: header, arguments, names, data and extensions. */
  length: number;
  opcode: number;
  /** Names the request; the reply carries it. An id, never an address. */
  unique: Opaque64;
  node: Opaque64;
  uid: number;
  gid: number;
  pid: number;
  /** total_extlen: extensions at the end of the request, in units of 8 bytes (7.38). */
  extensionUnits: number;
}

export interface OutHeader {
  /** Of the whole reply, header included. */
  length: number;
  /** 0, or a negative errno. */
  error: number;
  unique: Opaque64;
}

export function createInHeader(): InHeader {
  return { length: 0, opcode: 0, unique: opaque(), node: opaque(), uid: 0, gid: 0, pid: 0, extensionUnits: 0 };
}

export function createOutHeader(): OutHeader {
  return { length: 0, error: 0, unique: opaque() };
}

export function readInHeader(bytes: Uint8Array, at: number, into: InHeader): void {
  into.length = getU32(bytes, at);
  into.opcode = getU32(bytes, at + 4);
  getOpaque(bytes, at + 8, into.unique);
  getOpaque(bytes, at + 16, into.node);
  into.uid = getU32(bytes, at + 24);
  into.gid = getU32(bytes, at + 28);
  into.pid = getU32(bytes, at + 32);
  into.extensionUnits = getU16(bytes, at + 36);
}

export function writeInHeader(bytes: Uint8Array, at: number, header: Readonly<InHeader>): void {
  putU32(bytes, at, header.length);
  putU32(bytes, at + 4, header.opcode);
  putOpaque(bytes, at + 8, header.unique);
  putOpaque(bytes, at + 16, header.node);
  putU32(bytes, at + 24, header.uid);
  putU32(bytes, at + 28, header.gid);
  putU32(bytes, at + 32, header.pid);
  putU16(bytes, at + 36, header.extensionUnits);
  putU16(bytes, at + 38, 0);
}

export function readOutHeader(bytes: Uint8Array, at: number, into: OutHeader): void {
  into.length = getU32(bytes, at);
  into.error = getI32(bytes, at + 4);
  getOpaque(bytes, at + 8, into.unique);
}

export function writeOutHeader(bytes: Uint8Array, at: number, header: Readonly<OutHeader>): void {
  putU32(bytes, at, header.length);
  putU32(bytes, at + 4, header.error);
  putOpaque(bytes, at + 8, header.unique);
}
