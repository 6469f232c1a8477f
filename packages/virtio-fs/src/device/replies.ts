/**
 * Results of a file system, put into replies. One scratch object per struct serves all: it is filled and written within
 * one call. A result that FUSE cannot carry (a fraction, a negative size) throws a RangeError: the file system's bug.
 */
import {
  ATTR_OUT_SIZE,
  type Attr,
  createAttr,
  createEntryOut,
  createOpenOut,
  ENTRY_OUT_SIZE,
  type EntryOut,
  OPEN_OUT_SIZE,
  OpenReplyFlag,
  OUT_HEADER_SIZE,
  STATFS_OUT_SIZE,
  setOpaque,
  type Validity,
  writeAttrOut,
  writeEntryOut,
  writeOpenOut,
  writeStatfsOut,
} from "../wire/index.ts";
import type { Exchange } from "./exchange.ts";
import type { Attributes, Entry, FileSystem, FileSystemStatistics, OpenResult, Timestamp } from "./file-system.ts";

const entryOut: EntryOut = createEntryOut();
const openOut = createOpenOut();
const attr: Attr = createAttr();
const validity: Validity = { seconds: 0, nanoseconds: 0 };

export function finishEmpty(exchange: Exchange): number {
  return exchange.succeed(0);
}

export function finishEntry(exchange: Exchange, entry: Entry): number {
  writeEntryOut(exchange.reply, OUT_HEADER_SIZE, fillEntry(entryOut, entry));
  return exchange.succeed(ENTRY_OUT_SIZE);
}

export function finishCreate(exchange: Exchange, created: Entry & OpenResult): number {
  writeEntryOut(exchange.reply, OUT_HEADER_SIZE, fillEntry(entryOut, created));
  fillOpen(created);
  writeOpenOut(exchange.reply, OUT_HEADER_SIZE + ENTRY_OUT_SIZE, openOut);
  return exchange.succeed(ENTRY_OUT_SIZE + OPEN_OUT_SIZE);
}

export function finishOpen(exchange: Exchange, opened: OpenResult): number {
  fillOpen(opened);
  writeOpenOut(exchange.reply, OUT_HEADER_SIZE, openOut);
  return exchange.succeed(OPEN_OUT_SIZE);
}

export function finishAttributes(exchange: Exchange, result: { attributes: Attributes; valid: number }): number {
  fillValidity(validity, result.valid);
  fillAttr(attr, result.attributes);
  writeAttrOut(exchange.reply, OUT_HEADER_SIZE, validity, attr);
  return exchange.succeed(ATTR_OUT_SIZE);
}

export function finishStatistics(exchange: Exchange, statistics: FileSystemStatistics): number {
  writeStatfsOut(exchange.reply, OUT_HEADER_SIZE, statistics);
  return exchange.succeed(STATFS_OUT_SIZE);
}

/** The guest will not hear of this entry: take its lookup back. */
export function undoEntry(fileSystem: FileSystem, _exchange: Exchange, entry: Entry): void {
  fileSystem.forget(entry.node, 1);
}

export function fillEntry(into: EntryOut, entry: Entry): EntryOut {
  setOpaque(into.node, entry.node);
  setOpaque(into.generation, entry.generation);
  fillValidity(into.entryValid, entry.entryValid);
  fillValidity(into.attrValid, entry.attributesValid);
  fillAttr(into.attr, entry.attributes);
  return into;
}

function fillOpen(opened: OpenResult): void {
  setOpaque(openOut.handle, opened.handle);
  openOut.flags =
    (opened.keepCache === true ? OpenReplyFlag.KeepCache : 0) | (opened.directIo === true ? OpenReplyFlag.DirectIo : 0);
}

/** Seconds with a fraction; what is negative or no number counts as 0. */
function fillValidity(into: Validity, seconds: number): void {
  const bounded = seconds > 0 ? Math.min(seconds, Number.MAX_SAFE_INTEGER) : 0;
  into.seconds = Math.floor(bounded);
  into.nanoseconds = Math.floor((bounded - into.seconds) * 1e9);
}

function fillAttr(into: Attr, attributes: Attributes): void {
  const { atime, mtime, ctime } = attributes;
  setOpaque(into.inode, attributes.inode);
  into.size = attributes.size;
  into.blocks = attributes.blocks;
  into.atimeSeconds = atime.seconds;
  into.mtimeSeconds = mtime.seconds;
  into.ctimeSeconds = ctime.seconds;
  into.atimeNanoseconds = nanoseconds(atime);
  into.mtimeNanoseconds = nanoseconds(mtime);
  into.ctimeNanoseconds = nanoseconds(ctime);
  into.mode = attributes.mode;
  into.links = attributes.links;
  into.uid = attributes.uid;
  into.gid = attributes.gid;
  into.rdev = attributes.rdev;
  into.blockSize = attributes.blockSize;
  into.flags = 0;
}

function nanoseconds(time: Timestamp): number {
  const value = time.nanoseconds;
  if (value >= 0 && value < 1e9) return Math.floor(value);
  throw new RangeError(`${value} is not a number of nanoseconds within a second`);
}
