/** Operations on one inode: attributes, link targets, permission, statistics; and names that are looked up or forgotten. */
import { Errno } from "@toril/virtio/platform";
import {
  ACCESS_IN_SIZE,
  BATCH_FORGET_IN_SIZE,
  createSetattrIn,
  FORGET_IN_SIZE,
  FORGET_ONE_SIZE,
  GETATTR_FH,
  GETATTR_IN_SIZE,
  IN_HEADER_SIZE,
  OUT_HEADER_SIZE,
  opaque,
  readAccessIn,
  readBatchForgetIn,
  readForgetIn,
  readForgetOne,
  readGetattrIn,
  readSetattrIn,
  SETATTR_IN_SIZE,
  type SetattrIn,
  SetattrValid,
} from "../wire/index.ts";
import type { Exchange } from "./exchange.ts";
import type { AttributeChanges, FileHandle, FileSystem, NodeId, Timestamp } from "./file-system.ts";
import { finishAttributes, finishEmpty, finishEntry, finishStatistics, undoEntry } from "./replies.ts";
import { callerOf, handleFrom, nodeFrom, nodeOf, type Operation } from "./serving.ts";

const getattrIn = { flags: 0, handle: opaque() };
const setattrIn: SetattrIn = createSetattrIn();
const forgotten = opaque();

export const lookup: Operation = (serving, exchange) => {
  exchange.startNames(0);
  const name = exchange.takeName();
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  const entry = serving.fileSystem.lookup(nodeOf(exchange), name, callerOf(exchange));
  return serving.answer(exchange, entry, finishEntry, undoEntry);
};

export const getattr: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < GETATTR_IN_SIZE) return exchange.fail(Errno.EINVAL);
  readGetattrIn(exchange.bytes, IN_HEADER_SIZE, getattrIn);
  let handle: FileHandle | undefined;
  if ((getattrIn.flags & GETATTR_FH) !== 0) {
    handle = handleFrom(getattrIn.handle);
    if (handle === undefined) return exchange.fail(Errno.EBADF);
  }
  return serving.answer(exchange, serving.fileSystem.getattr(nodeOf(exchange), handle), finishAttributes);
};

export const setattr: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < SETATTR_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem } = serving;
  if (fileSystem.setattr === undefined) return exchange.fail(Errno.EROFS);
  readSetattrIn(exchange.bytes, IN_HEADER_SIZE, setattrIn);
  let handle: FileHandle | undefined;
  if ((setattrIn.valid & SetattrValid.Fh) !== 0) {
    handle = handleFrom(setattrIn.handle);
    if (handle === undefined) return exchange.fail(Errno.EBADF);
  }
  const changes = changesOf(setattrIn);
  if (typeof changes === "number") return exchange.fail(changes);
  const result = fileSystem.setattr(nodeOf(exchange), changes, handle, callerOf(exchange));
  return serving.answer(exchange, result, finishAttributes);
};

/** The changes that `valid` means, or the errno of a value that cannot be. */
function changesOf(given: SetattrIn): AttributeChanges | number {
  const { valid } = given;
  const changes: { -readonly [K in keyof AttributeChanges]: AttributeChanges[K] } = {};
  if ((valid & SetattrValid.Mode) !== 0) changes.mode = given.mode;
  if ((valid & SetattrValid.Uid) !== 0) changes.uid = given.uid;
  if ((valid & SetattrValid.Gid) !== 0) changes.gid = given.gid;
  if ((valid & SetattrValid.Size) !== 0) {
    if (given.size === -1) return Errno.EFBIG;
    changes.size = given.size;
  }
  if ((valid & SetattrValid.AtimeNow) !== 0) changes.atime = "now";
  else if ((valid & SetattrValid.Atime) !== 0) changes.atime = timestamp(given.atimeSeconds, given.atimeNanoseconds);
  if ((valid & SetattrValid.MtimeNow) !== 0) changes.mtime = "now";
  else if ((valid & SetattrValid.Mtime) !== 0) changes.mtime = timestamp(given.mtimeSeconds, given.mtimeNanoseconds);
  return isTime(changes.atime) && isTime(changes.mtime) ? changes : Errno.EINVAL;
}

function timestamp(seconds: number, nanoseconds: number): Timestamp {
  return { seconds, nanoseconds };
}

function isTime(time: Timestamp | "now" | undefined): boolean {
  if (time === undefined || time === "now") return true;
  return Number.isSafeInteger(time.seconds) && time.nanoseconds < 1e9;
}

export const readlink: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.readlink === undefined) return exchange.fail(Errno.ENOSYS);
  return serving.answer(exchange, fileSystem.readlink(nodeOf(exchange)), finishReadlink);
};

/** Without a NUL at its end: the reply's length says where it ends. */
function finishReadlink(exchange: Exchange, target: Uint8Array): number {
  // A target that is cut off would lead somewhere else.
  if (target.length > exchange.payloadRoom) return exchange.fail(Errno.ENAMETOOLONG);
  exchange.message.write(OUT_HEADER_SIZE, target);
  return exchange.succeedInPlace(target.length);
}

export const access: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < ACCESS_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem } = serving;
  // The client remembers ENOSYS, and asks no more.
  if (fileSystem.access === undefined) return exchange.fail(Errno.ENOSYS);
  const mask = readAccessIn(exchange.bytes, IN_HEADER_SIZE);
  if (mask > 7) return exchange.fail(Errno.EINVAL);
  return serving.answer(exchange, fileSystem.access(nodeOf(exchange), mask, callerOf(exchange)), finishEmpty);
};

export const statfs: Operation = (serving, exchange) =>
  serving.answer(exchange, serving.fileSystem.statfs(nodeOf(exchange)), finishStatistics);

/** FORGET and BATCH_FORGET are never answered, whatever is wrong with them; returns how many nodes were named. */
export function forget(fileSystem: FileSystem, exchange: Exchange): number {
  if (exchange.argumentBytes < FORGET_IN_SIZE || exchange.node === -1) return 0;
  forgetOne(fileSystem, nodeOf(exchange), readForgetIn(exchange.bytes, IN_HEADER_SIZE));
  return 1;
}

/** Any number of nodes; read in pieces, because they may be more than the private copy holds. */
export function batchForget(fileSystem: FileSystem, exchange: Exchange): number {
  const available = Math.floor((exchange.argumentBytes - BATCH_FORGET_IN_SIZE) / FORGET_ONE_SIZE);
  if (available < 0) return 0;
  const count = Math.min(readBatchForgetIn(exchange.bytes, IN_HEADER_SIZE), available);
  const { message, reply } = exchange;
  const piece = reply.subarray(0, 16 * FORGET_ONE_SIZE);
  const start = IN_HEADER_SIZE + BATCH_FORGET_IN_SIZE;
  for (let done = 0; done < count; ) {
    const read = message.read(start + done * FORGET_ONE_SIZE, piece);
    const whole = Math.min(Math.floor(read / FORGET_ONE_SIZE), count - done);
    if (whole === 0) return done;
    for (let i = 0; i < whole; i++) {
      const lookups = readForgetOne(piece, i * FORGET_ONE_SIZE, forgotten);
      const node = nodeFrom(forgotten);
      if (node !== undefined) forgetOne(fileSystem, node, lookups);
    }
    done += whole;
  }
  return count;
}

function forgetOne(fileSystem: FileSystem, node: NodeId, lookups: number): void {
  // -1: more than 2^53 - 1, which is more than there can have been.
  if (lookups !== 0) fileSystem.forget(node, lookups === -1 ? Number.MAX_SAFE_INTEGER : lookups);
}
