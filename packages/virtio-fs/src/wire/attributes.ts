/** What an inode is like: struct fuse_attr, fuse_attr_out, fuse_getattr_in, fuse_setattr_in. */
import {
  getOpaque,
  getQuantity,
  getSeconds,
  getU32,
  type Opaque64,
  opaque,
  putOpaque,
  putQuantity,
  putSeconds,
  putU32,
} from "./integers.ts";

export const ATTR_SIZE = 88;
export const ATTR_OUT_SIZE: number = 16 + ATTR_SIZE;
export const GETATTR_IN_SIZE = 16;
export const SETATTR_IN_SIZE = 88;

/** fuse_getattr_in.getattr_flags: `fh` is valid. */
export const GETATTR_FH = 0x1;

/** fuse_setattr_in.valid: which fields are meant. */
export const SetattrValid = {
  Mode: 0x1,
  Uid: 0x2,
  Gid: 0x4,
  Size: 0x8,
  Atime: 0x10,
  Mtime: 0x20,
  Fh: 0x40,
  AtimeNow: 0x80,
  MtimeNow: 0x100,
  LockOwner: 0x200,
  Ctime: 0x400,
  KillSuidgid: 0x800,
} as const;

export interface Attr {
  /** st_ino: for people; requests name the node. */
  inode: Opaque64;
  /** Bytes; -1 when the peer sent more than 2^53 - 1. */
  size: number;
  /** Units of 512 bytes; -1 likewise. */
  blocks: number;
  atimeSeconds: number;
  mtimeSeconds: number;
  ctimeSeconds: number;
  atimeNanoseconds: number;
  mtimeNanoseconds: number;
  ctimeNanoseconds: number;
  /** st_mode: type and permissions. */
  mode: number;
  links: number;
  uid: number;
  gid: number;
  rdev: number;
  blockSize: number;
  flags: number;
}

/** fuse_attr_out without its attr, which follows it on the wire. */
export interface Validity {
  seconds: number;
  nanoseconds: number;
}

export interface GetattrIn {
  flags: number;
  handle: Opaque64;
}

export interface SetattrIn {
  /** Bits of SetattrValid. */
  valid: number;
  handle: Opaque64;
  /** -1 when the peer sent more than 2^53 - 1. */
  size: number;
  atimeSeconds: number;
  mtimeSeconds: number;
  ctimeSeconds: number;
  atimeNanoseconds: number;
  mtimeNanoseconds: number;
  ctimeNanoseconds: number;
  mode: number;
  uid: number;
  gid: number;
}

export function createAttr(): Attr {
  return {
    inode: opaque(),
    size: 0,
    blocks: 0,
    atimeSeconds: 0,
    mtimeSeconds: 0,
    ctimeSeconds: 0,
    atimeNanoseconds: 0,
    mtimeNanoseconds: 0,
    ctimeNanoseconds: 0,
    mode: 0,
    links: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blockSize: 0,
    flags: 0,
  };
}

export function createSetattrIn(): SetattrIn {
  return {
    valid: 0,
    handle: opaque(),
    size: 0,
    atimeSeconds: 0,
    mtimeSeconds: 0,
    ctimeSeconds: 0,
    atimeNanoseconds: 0,
    mtimeNanoseconds: 0,
    ctimeNanoseconds: 0,
    mode: 0,
    uid: 0,
    gid: 0,
  };
}

export function readAttr(bytes: Uint8Array, at: number, into: Attr): void {
  getOpaque(bytes, at, into.inode);
  into.size = getQuantity(bytes, at + 8);
  into.blocks = getQuantity(bytes, at + 16);
  into.atimeSeconds = getSeconds(bytes, at + 24);
  into.mtimeSeconds = getSeconds(bytes, at + 32);
  into.ctimeSeconds = getSeconds(bytes, at + 40);
  into.atimeNanoseconds = getU32(bytes, at + 48);
  into.mtimeNanoseconds = getU32(bytes, at + 52);
  into.ctimeNanoseconds = getU32(bytes, at + 56);
  into.mode = getU32(bytes, at + 60);
  into.links = getU32(bytes, at + 64);
  into.uid = getU32(bytes, at + 68);
  into.gid = getU32(bytes, at + 72);
  into.rdev = getU32(bytes, at + 76);
  into.blockSize = getU32(bytes, at + 80);
  into.flags = getU32(bytes, at + 84);
}

export function writeAttr(bytes: Uint8Array, at: number, attr: Readonly<Attr>): void {
  putOpaque(bytes, at, attr.inode);
  putQuantity(bytes, at + 8, attr.size);
  putQuantity(bytes, at + 16, attr.blocks);
  putSeconds(bytes, at + 24, attr.atimeSeconds);
  putSeconds(bytes, at + 32, attr.mtimeSeconds);
  putSeconds(bytes, at + 40, attr.ctimeSeconds);
  putU32(bytes, at + 48, attr.atimeNanoseconds);
  putU32(bytes, at + 52, attr.mtimeNanoseconds);
  putU32(bytes, at + 56, attr.ctimeNanoseconds);
  putU32(bytes, at + 60, attr.mode);
  putU32(bytes, at + 64, attr.links);
  putU32(bytes, at + 68, attr.uid);
  putU32(bytes, at + 72, attr.gid);
  putU32(bytes, at + 76, attr.rdev);
  putU32(bytes, at + 80, attr.blockSize);
  putU32(bytes, at + 84, attr.flags);
}

/** struct fuse_attr_out. A validity of more than 2^53 seconds reads as -1: for ever. */
export function readAttrOut(bytes: Uint8Array, at: number, validity: Validity, attr: Attr): void {
  validity.seconds = getQuantity(bytes, at);
  validity.nanoseconds = getU32(bytes, at + 8);
  readAttr(bytes, at + 16, attr);
}

export function writeAttrOut(bytes: Uint8Array, at: number, validity: Readonly<Validity>, attr: Readonly<Attr>): void {
  putQuantity(bytes, at, validity.seconds);
  putU32(bytes, at + 8, validity.nanoseconds);
  putU32(bytes, at + 12, 0);
  writeAttr(bytes, at + 16, attr);
}

export function readGetattrIn(bytes: Uint8Array, at: number, into: GetattrIn): void {
  into.flags = getU32(bytes, at);
  getOpaque(bytes, at + 8, into.handle);
}

export function writeGetattrIn(bytes: Uint8Array, at: number, getattr: Readonly<GetattrIn>): void {
  putU32(bytes, at, getattr.flags);
  putU32(bytes, at + 4, 0);
  putOpaque(bytes, at + 8, getattr.handle);
}

export function readSetattrIn(bytes: Uint8Array, at: number, into: SetattrIn): void {
  into.valid = getU32(bytes, at);
  getOpaque(bytes, at + 8, into.handle);
  into.size = getQuantity(bytes, at + 16);
  into.atimeSeconds = getSeconds(bytes, at + 32);
  into.mtimeSeconds = getSeconds(bytes, at + 40);
  into.ctimeSeconds = getSeconds(bytes, at + 48);
  into.atimeNanoseconds = getU32(bytes, at + 56);
  into.mtimeNanoseconds = getU32(bytes, at + 60);
  into.ctimeNanoseconds = getU32(bytes, at + 64);
  into.mode = getU32(bytes, at + 68);
  into.uid = getU32(bytes, at + 76);
  into.gid = getU32(bytes, at + 80);
}

/** The lock owner is 0: leave LockOwner out of `valid`. */
export function writeSetattrIn(bytes: Uint8Array, at: number, setattr: Readonly<SetattrIn>): void {
  bytes.fill(0, at, at + SETATTR_IN_SIZE);
  putU32(bytes, at, setattr.valid);
  putOpaque(bytes, at + 8, setattr.handle);
  putQuantity(bytes, at + 16, setattr.size);
  putSeconds(bytes, at + 32, setattr.atimeSeconds);
  putSeconds(bytes, at + 40, setattr.mtimeSeconds);
  putSeconds(bytes, at + 48, setattr.ctimeSeconds);
  putU32(bytes, at + 56, setattr.atimeNanoseconds);
  putU32(bytes, at + 60, setattr.mtimeNanoseconds);
  putU32(bytes, at + 64, setattr.ctimeNanoseconds);
  putU32(bytes, at + 68, setattr.mode);
  putU32(bytes, at + 76, setattr.uid);
  putU32(bytes, at + 80, setattr.gid);
}
