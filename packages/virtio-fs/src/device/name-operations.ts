/** Operations that make, move and remove names. A file system without them is read-only: EROFS. */
import { Errno } from "@toril/virtio/platform";
import {
  CREATE_IN_SIZE,
  IN_HEADER_SIZE,
  LINK_IN_SIZE,
  MKDIR_IN_SIZE,
  MKNOD_IN_SIZE,
  opaque,
  RENAME_IN_SIZE,
  RENAME2_IN_SIZE,
  RenameFlag,
  readCreateIn,
  readLinkIn,
  readMkdirIn,
  readMknodIn,
  readRename2In,
  readRenameIn,
} from "../wire/index.ts";
import type { Exchange } from "./exchange.ts";
import type { Entry, FileSystem, OpenResult } from "./file-system.ts";
import { finishCreate, finishEmpty, finishEntry, undoEntry } from "./replies.ts";
import { callerOf, nodeFrom, nodeOf, type Operation, type Serving } from "./serving.ts";

// Without DONT_MASK, which is never negotiated, the client has applied the umask already.
const mkdirIn = { mode: 0, umask: 0 };
const mknodIn = { mode: 0, rdev: 0, umask: 0 };
const createIn = { flags: 0, mode: 0, umask: 0 };
const rename2In = { newDirectory: opaque(), flags: 0 };
const oldNode = opaque();

export const symlink: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.symlink === undefined) return exchange.fail(Errno.EROFS);
  exchange.startNames(0);
  const name = exchange.takeName();
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  const target = exchange.takeTarget();
  if (target === undefined) return exchange.fail(exchange.nameErrno);
  const entry = fileSystem.symlink(nodeOf(exchange), name, target, callerOf(exchange));
  return serving.answer(exchange, entry, finishEntry, undoEntry);
};

export const mknod: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.mknod === undefined) return exchange.fail(Errno.EROFS);
  const name = nameBehind(exchange, MKNOD_IN_SIZE);
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  readMknodIn(exchange.bytes, IN_HEADER_SIZE, mknodIn);
  const entry = fileSystem.mknod(nodeOf(exchange), name, mknodIn.mode, mknodIn.rdev, callerOf(exchange));
  return serving.answer(exchange, entry, finishEntry, undoEntry);
};

export const mkdir: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.mkdir === undefined) return exchange.fail(Errno.EROFS);
  const name = nameBehind(exchange, MKDIR_IN_SIZE);
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  readMkdirIn(exchange.bytes, IN_HEADER_SIZE, mkdirIn);
  const entry = fileSystem.mkdir(nodeOf(exchange), name, mkdirIn.mode, callerOf(exchange));
  return serving.answer(exchange, entry, finishEntry, undoEntry);
};

export const create: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.create === undefined) return exchange.fail(Errno.EROFS);
  const name = nameBehind(exchange, CREATE_IN_SIZE);
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  readCreateIn(exchange.bytes, IN_HEADER_SIZE, createIn);
  const created = fileSystem.create(nodeOf(exchange), name, createIn.mode, createIn.flags, callerOf(exchange));
  return serving.answer(exchange, created, finishCreate, undoCreate);
};

function undoCreate(fileSystem: FileSystem, exchange: Exchange, created: Entry & OpenResult): void {
  // Whoever waits for this promise is gone; a failure of it has nobody to go to.
  void Promise.resolve(fileSystem.release(created.node, created.handle)).catch(() => {});
  undoEntry(fileSystem, exchange, created);
}

export const unlink: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.unlink === undefined) return exchange.fail(Errno.EROFS);
  const name = nameBehind(exchange, 0);
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  return serving.answer(exchange, fileSystem.unlink(nodeOf(exchange), name), finishEmpty);
};

export const rmdir: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.rmdir === undefined) return exchange.fail(Errno.EROFS);
  const name = nameBehind(exchange, 0);
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  return serving.answer(exchange, fileSystem.rmdir(nodeOf(exchange), name), finishEmpty);
};

export const rename: Operation = (serving, exchange) => {
  rename2In.flags = 0;
  if (exchange.argumentBytes >= RENAME_IN_SIZE) {
    readRenameIn(exchange.bytes, IN_HEADER_SIZE, rename2In.newDirectory);
  }
  return renameNames(serving, exchange, RENAME_IN_SIZE);
};

export const rename2: Operation = (serving, exchange) => {
  if (exchange.argumentBytes >= RENAME2_IN_SIZE) readRename2In(exchange.bytes, IN_HEADER_SIZE, rename2In);
  return renameNames(serving, exchange, RENAME2_IN_SIZE);
};

/** Old name, new name; the directory of the new one and the flags stand in `rename2In`. */
function renameNames(serving: Serving, exchange: Exchange, size: number): number {
  const { fileSystem } = serving;
  if (fileSystem.rename === undefined) return exchange.fail(Errno.EROFS);
  const name = nameBehind(exchange, size);
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  const newName = exchange.takeName();
  if (newName === undefined) return exchange.fail(exchange.nameErrno);
  const { flags } = rename2In;
  const known = RenameFlag.NoReplace | RenameFlag.Exchange;
  // renameat2(2): the two exclude each other. RENAME_WHITEOUT is for overlay file systems.
  if ((flags & ~known) !== 0 || flags === known) return exchange.fail(Errno.EINVAL);
  const newParent = nodeFrom(rename2In.newDirectory);
  if (newParent === undefined) return exchange.fail(Errno.ESTALE);
  const done = fileSystem.rename(nodeOf(exchange), name, newParent, newName, flags);
  return serving.answer(exchange, done, finishEmpty);
}

export const link: Operation = (serving, exchange) => {
  const { fileSystem } = serving;
  if (fileSystem.link === undefined) return exchange.fail(Errno.EROFS);
  const name = nameBehind(exchange, LINK_IN_SIZE);
  if (name === undefined) return exchange.fail(exchange.nameErrno);
  readLinkIn(exchange.bytes, IN_HEADER_SIZE, oldNode);
  const node = nodeFrom(oldNode);
  if (node === undefined) return exchange.fail(Errno.ESTALE);
  return serving.answer(exchange, fileSystem.link(node, nodeOf(exchange), name), finishEntry, undoEntry);
};

/** The first name behind arguments of `size` bytes; a request that is too short for those has no name either. */
function nameBehind(exchange: Exchange, size: number): Uint8Array | undefined {
  exchange.startNames(size);
  return exchange.takeName();
}
