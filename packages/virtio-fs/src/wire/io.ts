/** File data: fuse_read_in, fuse_write_in, fuse_write_out, fuse_fallocate_in, fuse_lseek_in and _out. */
import { getOpaque, getQuantity, getU32, type Opaque64, opaque, putOpaque, putQuantity, putU32 } from "./integers.ts";

export const READ_IN_SIZE = 40;
export const WRITE_IN_SIZE = 40;
export const WRITE_OUT_SIZE = 8;
export const FALLOCATE_IN_SIZE = 32;
export const LSEEK_IN_SIZE = 24;
export const LSEEK_OUT_SIZE = 8;
export const INTERRUPT_IN_SIZE = 8;

/** fuse_read_in, for READ, READDIR and READDIRPLUS. */
export interface ReadIn {
  handle: Opaque64;
  /** READ: a byte offset. READDIR: the cookie of the item before, which is an id of the server's. */
  offset: Opaque64;
  size: number;
  readFlags: number;
  /** The file's open flags. */
  flags: number;
}

export interface WriteIn {
  handle: Opaque64;
  /** -1 when the peer sent more than 2^53 - 1. */
  offset: number;
  size: number;
  writeFlags: number;
  flags: number;
}

export interface FallocateIn {
  handle: Opaque64;
  /** -1 when the peer sent more than 2^53 - 1; `length` likewise. */
  offset: number;
  length: number;
  mode: number;
}

export interface LseekIn {
  handle: Opaque64;
  /** -1 when the peer sent more than 2^53 - 1. */
  offset: number;
  /** SEEK_DATA 3, SEEK_HOLE 4. */
  whence: number;
}

export function createReadIn(): ReadIn {
  return { handle: opaque(), offset: opaque(), size: 0, readFlags: 0, flags: 0 };
}

export function createWriteIn(): WriteIn {
  return { handle: opaque(), offset: 0, size: 0, writeFlags: 0, flags: 0 };
}

export function readReadIn(bytes: Uint8Array, at: number, into: ReadIn): void {
  getOpaque(bytes, at, into.handle);
  getOpaque(bytes, at + 8, into.offset);
  into.size = getU32(bytes, at + 16);
  into.readFlags = getU32(bytes, at + 20);
  into.flags = getU32(bytes, at + 32);
}

/** The lock owner is 0, and so is its flag. */
export function writeReadIn(bytes: Uint8Array, at: number, read: Readonly<ReadIn>): void {
  putOpaque(bytes, at, read.handle);
  putOpaque(bytes, at + 8, read.offset);
  putU32(bytes, at + 16, read.size);
  putU32(bytes, at + 20, read.readFlags);
  putU32(bytes, at + 24, 0);
  putU32(bytes, at + 28, 0);
  putU32(bytes, at + 32, read.flags);
  putU32(bytes, at + 36, 0);
}

export function readWriteIn(bytes: Uint8Array, at: number, into: WriteIn): void {
  getOpaque(bytes, at, into.handle);
  into.offset = getQuantity(bytes, at + 8);
  into.size = getU32(bytes, at + 16);
  into.writeFlags = getU32(bytes, at + 20);
  into.flags = getU32(bytes, at + 32);
}

/** The bytes to write follow it. The lock owner is 0, and so is its flag. */
export function writeWriteIn(bytes: Uint8Array, at: number, write: Readonly<WriteIn>): void {
  putOpaque(bytes, at, write.handle);
  putQuantity(bytes, at + 8, write.offset);
  putU32(bytes, at + 16, write.size);
  putU32(bytes, at + 20, write.writeFlags);
  putU32(bytes, at + 24, 0);
  putU32(bytes, at + 28, 0);
  putU32(bytes, at + 32, write.flags);
  putU32(bytes, at + 36, 0);
}

/** struct fuse_write_out: how many bytes were written. */
export function readWriteOut(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at);
}

export function writeWriteOut(bytes: Uint8Array, at: number, size: number): void {
  putU32(bytes, at, size);
  putU32(bytes, at + 4, 0);
}

export function readFallocateIn(bytes: Uint8Array, at: number, into: FallocateIn): void {
  getOpaque(bytes, at, into.handle);
  into.offset = getQuantity(bytes, at + 8);
  into.length = getQuantity(bytes, at + 16);
  into.mode = getU32(bytes, at + 24);
}

export function writeFallocateIn(bytes: Uint8Array, at: number, fallocate: Readonly<FallocateIn>): void {
  putOpaque(bytes, at, fallocate.handle);
  putQuantity(bytes, at + 8, fallocate.offset);
  putQuantity(bytes, at + 16, fallocate.length);
  putU32(bytes, at + 24, fallocate.mode);
  putU32(bytes, at + 28, 0);
}

export function readLseekIn(bytes: Uint8Array, at: number, into: LseekIn): void {
  getOpaque(bytes, at, into.handle);
  into.offset = getQuantity(bytes, at + 8);
  into.whence = getU32(bytes, at + 16);
}

export function writeLseekIn(bytes: Uint8Array, at: number, lseek: Readonly<LseekIn>): void {
  putOpaque(bytes, at, lseek.handle);
  putQuantity(bytes, at + 8, lseek.offset);
  putU32(bytes, at + 16, lseek.whence);
  putU32(bytes, at + 20, 0);
}

/** struct fuse_lseek_out: the offset found; -1 above 2^53 - 1. */
export function readLseekOut(bytes: Uint8Array, at: number): number {
  return getQuantity(bytes, at);
}

export function writeLseekOut(bytes: Uint8Array, at: number, offset: number): void {
  putQuantity(bytes, at, offset);
}

/** struct fuse_interrupt_in: which request is not wanted any more. */
export function readInterruptIn(bytes: Uint8Array, at: number, unique: Opaque64): void {
  getOpaque(bytes, at, unique);
}

export function writeInterruptIn(bytes: Uint8Array, at: number, unique: Readonly<Opaque64>): void {
  putOpaque(bytes, at, unique);
}
