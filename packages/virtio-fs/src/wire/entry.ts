/** What a name leads to (struct fuse_entry_out), and how lookups are given back (fuse_forget_in, fuse_batch_forget_in). */
import { ATTR_SIZE, type Attr, createAttr, readAttr, type Validity, writeAttr } from "./attributes.ts";
import { getOpaque, getQuantity, getU32, type Opaque64, opaque, putOpaque, putQuantity, putU32 } from "./integers.ts";

export const ENTRY_OUT_SIZE: number = 40 + ATTR_SIZE;
export const FORGET_IN_SIZE = 8;
export const BATCH_FORGET_IN_SIZE = 8;
export const FORGET_ONE_SIZE = 16;

export interface EntryOut {
  /** 0: there is no such name, and that may be cached for `entryValid`. Else one lookup was counted. */
  node: Opaque64;
  generation: Opaque64;
  entryValid: Validity;
  attrValid: Validity;
  attr: Attr;
}

export function createEntryOut(): EntryOut {
  return {
    node: opaque(),
    generation: opaque(),
    entryValid: { seconds: 0, nanoseconds: 0 },
    attrValid: { seconds: 0, nanoseconds: 0 },
    attr: createAttr(),
  };
}

/** A validity of more than 2^53 seconds reads as -1: for ever. */
export function readEntryOut(bytes: Uint8Array, at: number, into: EntryOut): void {
  getOpaque(bytes, at, into.node);
  getOpaque(bytes, at + 8, into.generation);
  into.entryValid.seconds = getQuantity(bytes, at + 16);
  into.attrValid.seconds = getQuantity(bytes, at + 24);
  into.entryValid.nanoseconds = getU32(bytes, at + 32);
  into.attrValid.nanoseconds = getU32(bytes, at + 36);
  readAttr(bytes, at + 40, into.attr);
}

export function writeEntryOut(bytes: Uint8Array, at: number, entry: Readonly<EntryOut>): void {
  putOpaque(bytes, at, entry.node);
  putOpaque(bytes, at + 8, entry.generation);
  putQuantity(bytes, at + 16, entry.entryValid.seconds);
  putQuantity(bytes, at + 24, entry.attrValid.seconds);
  putU32(bytes, at + 32, entry.entryValid.nanoseconds);
  putU32(bytes, at + 36, entry.attrValid.nanoseconds);
  writeAttr(bytes, at + 40, entry.attr);
}

/** struct fuse_forget_in: how many lookups of the header's node are given back; -1 above 2^53 - 1. */
export function readForgetIn(bytes: Uint8Array, at: number): number {
  return getQuantity(bytes, at);
}

export function writeForgetIn(bytes: Uint8Array, at: number, lookups: number): void {
  putQuantity(bytes, at, lookups);
}

/** struct fuse_batch_forget_in: how many fuse_forget_one follow. */
export function readBatchForgetIn(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at);
}

export function writeBatchForgetIn(bytes: Uint8Array, at: number, count: number): void {
  putU32(bytes, at, count);
  putU32(bytes, at + 4, 0);
}

/** struct fuse_forget_one; returns the number of lookups, -1 above 2^53 - 1. */
export function readForgetOne(bytes: Uint8Array, at: number, node: Opaque64): number {
  getOpaque(bytes, at, node);
  return getQuantity(bytes, at + 8);
}

export function writeForgetOne(bytes: Uint8Array, at: number, node: Readonly<Opaque64>, lookups: number): void {
  putOpaque(bytes, at, node);
  putQuantity(bytes, at + 8, lookups);
}
