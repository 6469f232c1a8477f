/** Requests as bytes, for tests of a server: good ones, and whatever else one can think of. */
import { textCodec } from "@toril/virtio/platform";
import {
  createInHeader,
  createOutHeader,
  createReadIn,
  createWriteIn,
  FUSE_MINOR,
  IN_HEADER_SIZE,
  INIT_IN_SIZE,
  Opcode,
  OUT_HEADER_SIZE,
  READ_IN_SIZE,
  readOutHeader,
  setOpaque,
  WRITE_IN_SIZE,
  writeInHeader,
  writeInitIn,
  writeReadIn,
  writeWriteIn,
} from "../wire/index.ts";

const text = textCodec();

export interface RequestFields {
  readonly unique?: number | bigint;
  readonly node?: number | bigint;
  /** What the header says of the length; the truth unless told. */
  readonly length?: number;
  readonly extensionUnits?: number;
}

/** A request with these parts behind its header. */
export function fuseRequest(opcode: number, parts: readonly Uint8Array[], fields: RequestFields = {}): Uint8Array {
  const total = parts.reduce((sum, part) => sum + part.length, IN_HEADER_SIZE);
  const bytes = new Uint8Array(total);
  const header = createInHeader();
  header.length = fields.length ?? total;
  header.opcode = opcode;
  header.extensionUnits = fields.extensionUnits ?? 0;
  setOpaque(header.unique, fields.unique ?? 1);
  setOpaque(header.node, fields.node ?? 1);
  writeInHeader(bytes, 0, header);
  let at = IN_HEADER_SIZE;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A name and its NUL. */
export function nulled(name: string): Uint8Array {
  return text.encode(`${name}\0`);
}

/** Little-endian 32-bit words. */
export function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  values.forEach((value, i) => {
    for (let b = 0; b < 4; b++) bytes[i * 4 + b] = value >>> (8 * b);
  });
  return bytes;
}

export function initRequest(
  init: { major?: number; minor?: number; flags?: number; unique?: number } = {},
): Uint8Array {
  const args = new Uint8Array(INIT_IN_SIZE);
  const { major = 7, minor = FUSE_MINOR, flags = 0x7fff_ffff, unique = 1 } = init;
  writeInitIn(args, 0, { major, minor, flags, maxReadahead: 0x10_0000, flags2: 0 });
  return fuseRequest(Opcode.Init, [args], { unique, node: 0 });
}

export function readArguments(handle: number, offset: number | bigint, size: number): Uint8Array {
  const read = createReadIn();
  setOpaque(read.handle, handle);
  setOpaque(read.offset, offset);
  read.size = size;
  const bytes = new Uint8Array(READ_IN_SIZE);
  writeReadIn(bytes, 0, read);
  return bytes;
}

export function writeArguments(handle: number, offset: number, size: number): Uint8Array {
  const write = createWriteIn();
  setOpaque(write.handle, handle);
  write.offset = offset;
  write.size = size;
  const bytes = new Uint8Array(WRITE_IN_SIZE);
  writeWriteIn(bytes, 0, write);
  return bytes;
}

export interface Reply {
  /** 0, or a positive errno. */
  readonly errno: number;
  readonly unique: bigint;
  readonly payload: Uint8Array;
}

/** @throws Error when the reply's header contradicts the number of bytes that were written. */
export function parseReply(bytes: Uint8Array, written: number): Reply {
  const header = createOutHeader();
  readOutHeader(bytes, 0, header);
  if (header.length !== written) throw new Error(`a reply that says ${header.length} bytes, and has ${written}`);
  const unique = (BigInt(header.unique.high) << 32n) | BigInt(header.unique.low);
  return { errno: header.error === 0 ? 0 : -header.error, unique, payload: bytes.slice(OUT_HEADER_SIZE, written) };
}
