/** Operations on open files. READ and WRITE move data between the file system and the guest's own memory, in place. */
import { Errno } from "@toril/virtio/platform";
import {
  createReadIn,
  createWriteIn,
  FALLOCATE_IN_SIZE,
  FLUSH_IN_SIZE,
  FSYNC_DATA_ONLY,
  FSYNC_IN_SIZE,
  IN_HEADER_SIZE,
  LSEEK_IN_SIZE,
  LSEEK_OUT_SIZE,
  OPEN_IN_SIZE,
  OpenFlag,
  OUT_HEADER_SIZE,
  opaque,
  opaqueToNumber,
  READ_IN_SIZE,
  RELEASE_IN_SIZE,
  readFallocateIn,
  readFlushIn,
  readFsyncIn,
  readLseekIn,
  readOpenIn,
  readReadIn,
  readReleaseIn,
  readWriteIn,
  WRITE_IN_SIZE,
  WRITE_OUT_SIZE,
  writeLseekOut,
  writeWriteOut,
} from "../wire/index.ts";
import type { Exchange } from "./exchange.ts";
import { readableViews, writableViews } from "./fuse-message.ts";
import { finishEmpty, finishOpen } from "./replies.ts";
import { callerOf, handleFrom, nodeOf, type Operation } from "./serving.ts";
import { MAX_TRANSFER } from "./session.ts";

const openIn = { flags: 0 };
const readIn = createReadIn();
const writeIn = createWriteIn();
const handleIn = opaque();
const releaseIn = { handle: opaque(), flags: 0, releaseFlags: 0 };
const fallocateIn = { handle: opaque(), offset: 0, length: 0, mode: 0 };
const lseekIn = { handle: opaque(), offset: 0, whence: 0 };

const SEEK_DATA = 3;
const SEEK_HOLE = 4;

export const open: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < OPEN_IN_SIZE) return exchange.fail(Errno.EINVAL);
  readOpenIn(exchange.bytes, IN_HEADER_SIZE, openIn);
  // fuse.h: the client has done O_CREAT and O_EXCL itself, or has sent CREATE.
  const flags = openIn.flags & ~(OpenFlag.Create | OpenFlag.Exclusive | OpenFlag.NoControllingTty);
  return serving.answer(exchange, serving.fileSystem.open(nodeOf(exchange), flags, callerOf(exchange)), finishOpen);
};

export const read: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < READ_IN_SIZE) return exchange.fail(Errno.EINVAL);
  readReadIn(exchange.bytes, IN_HEADER_SIZE, readIn);
  const { size } = readIn;
  const offset = opaqueToNumber(readIn.offset);
  const handle = handleFrom(readIn.handle);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  // Never cut it short: fewer bytes than were asked for mean the end of the file.
  if (size > exchange.payloadRoom || size > MAX_TRANSFER) return exchange.fail(Errno.EINVAL);
  if (offset === -1 || offset + size > Number.MAX_SAFE_INTEGER) return exchange.fail(Errno.EINVAL);
  exchange.capacity = size;
  const targets = writableViews(exchange.message, OUT_HEADER_SIZE, size);
  const count = serving.fileSystem.read(nodeOf(exchange), handle, offset, targets);
  return serving.answer(exchange, count, finishRead);
};

function finishRead(exchange: Exchange, count: number): number {
  if (!isCount(count, exchange.capacity)) throw new RangeError(`read returned ${count} of ${exchange.capacity} bytes`);
  return exchange.succeedInPlace(count);
}

export const write: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < WRITE_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem, limits } = serving;
  if (fileSystem.write === undefined) return exchange.fail(Errno.EROFS);
  readWriteIn(exchange.bytes, IN_HEADER_SIZE, writeIn);
  const { offset, size } = writeIn;
  const handle = handleFrom(writeIn.handle);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  if (size > limits.maxWrite || size > exchange.argumentBytes - WRITE_IN_SIZE) return exchange.fail(Errno.EINVAL);
  if (offset === -1 || offset + size > Number.MAX_SAFE_INTEGER) return exchange.fail(Errno.EFBIG);
  exchange.capacity = size;
  const sources = readableViews(exchange.message, IN_HEADER_SIZE + WRITE_IN_SIZE, size);
  const count = fileSystem.write(nodeOf(exchange), handle, offset, sources, callerOf(exchange));
  return serving.answer(exchange, count, finishWrite);
};

function finishWrite(exchange: Exchange, count: number): number {
  if (!isCount(count, exchange.capacity)) throw new RangeError(`write returned ${count} of ${exchange.capacity} bytes`);
  writeWriteOut(exchange.reply, OUT_HEADER_SIZE, count);
  return exchange.succeed(WRITE_OUT_SIZE);
}

function isCount(count: number, limit: number): boolean {
  return Number.isInteger(count) && count >= 0 && count <= limit;
}

export const flush: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < FLUSH_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem } = serving;
  // The client remembers ENOSYS, and sends no more.
  if (fileSystem.flush === undefined) return exchange.fail(Errno.ENOSYS);
  readFlushIn(exchange.bytes, IN_HEADER_SIZE, handleIn);
  const handle = handleFrom(handleIn);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  return serving.answer(exchange, fileSystem.flush(nodeOf(exchange), handle), finishEmpty);
};

export const fsync: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < FSYNC_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem } = serving;
  if (fileSystem.fsync === undefined) return exchange.fail(Errno.ENOSYS);
  const flags = readFsyncIn(exchange.bytes, IN_HEADER_SIZE, handleIn);
  const handle = handleFrom(handleIn);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  const done = fileSystem.fsync(nodeOf(exchange), handle, (flags & FSYNC_DATA_ONLY) !== 0);
  return serving.answer(exchange, done, finishEmpty);
};

export const release: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < RELEASE_IN_SIZE) return exchange.fail(Errno.EINVAL);
  readReleaseIn(exchange.bytes, IN_HEADER_SIZE, releaseIn);
  const handle = handleFrom(releaseIn.handle);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  return serving.answer(exchange, serving.fileSystem.release(nodeOf(exchange), handle), finishEmpty);
};

export const fallocate: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < FALLOCATE_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem } = serving;
  if (fileSystem.fallocate === undefined) return exchange.fail(Errno.EOPNOTSUPP);
  readFallocateIn(exchange.bytes, IN_HEADER_SIZE, fallocateIn);
  const { offset, length, mode } = fallocateIn;
  const handle = handleFrom(fallocateIn.handle);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  if (length === 0) return exchange.fail(Errno.EINVAL);
  if (offset === -1 || length === -1 || offset + length > Number.MAX_SAFE_INTEGER) return exchange.fail(Errno.EFBIG);
  const done = fileSystem.fallocate(nodeOf(exchange), handle, mode, offset, length);
  return serving.answer(exchange, done, finishEmpty);
};

export const lseek: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < LSEEK_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem } = serving;
  // The client remembers ENOSYS, and seeks by itself.
  if (fileSystem.lseek === undefined) return exchange.fail(Errno.ENOSYS);
  readLseekIn(exchange.bytes, IN_HEADER_SIZE, lseekIn);
  const { offset, whence } = lseekIn;
  const handle = handleFrom(lseekIn.handle);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return exchange.fail(Errno.EINVAL);
  if (offset === -1) return exchange.fail(Errno.ENXIO);
  return serving.answer(exchange, fileSystem.lseek(nodeOf(exchange), handle, offset, whence), finishLseek);
};

function finishLseek(exchange: Exchange, offset: number): number {
  writeLseekOut(exchange.reply, OUT_HEADER_SIZE, offset);
  return exchange.succeed(LSEEK_OUT_SIZE);
}
