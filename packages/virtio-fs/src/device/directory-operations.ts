/** Operations on open directories. Items go straight into the guest's buffer, one after the other. */
import { Errno } from "@toril/virtio/platform";
import {
  createEntryOut,
  createReadIn,
  direntplusSize,
  direntSize,
  FSYNC_DATA_ONLY,
  FSYNC_IN_SIZE,
  IN_HEADER_SIZE,
  NAME_MAX,
  OPEN_IN_SIZE,
  OUT_HEADER_SIZE,
  opaque,
  opaqueToNumber,
  READ_IN_SIZE,
  RELEASE_IN_SIZE,
  readFsyncIn,
  readReadIn,
  readReleaseIn,
  setOpaque,
  writeDirent,
  writeDirentplus,
} from "../wire/index.ts";
import type { Exchange } from "./exchange.ts";
import type { DirectoryItem, FileSystem, OpenResult } from "./file-system.ts";
import { fillEntry, finishEmpty, finishOpen } from "./replies.ts";
import { callerOf, handleFrom, nodeOf, type Operation, type Serving } from "./serving.ts";

const readIn = createReadIn();
const handleIn = opaque();
const releaseIn = { handle: opaque(), flags: 0, releaseFlags: 0 };
const dirent = { inode: opaque(), offset: opaque(), type: 0 };
const entryOut = createEntryOut();
/** An item without an entry counts no lookup: its node is 0. */
const noEntry = createEntryOut();

export const opendir: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < OPEN_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const opened = serving.fileSystem.opendir(nodeOf(exchange), callerOf(exchange));
  return serving.answer(exchange, opened, finishOpen, undoOpendir);
};

function undoOpendir(fileSystem: FileSystem, exchange: Exchange, opened: OpenResult): void {
  void Promise.resolve(fileSystem.releasedir(nodeOf(exchange), opened.handle)).catch(() => {});
}

export const readdir: Operation = (serving, exchange) => readItems(serving, exchange, "dirent");
export const readdirplus: Operation = (serving, exchange) => readItems(serving, exchange, "direntplus");

function readItems(serving: Serving, exchange: Exchange, kind: "dirent" | "direntplus"): number {
  if (exchange.argumentBytes < READ_IN_SIZE) return exchange.fail(Errno.EINVAL);
  readReadIn(exchange.bytes, IN_HEADER_SIZE, readIn);
  const handle = handleFrom(readIn.handle);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  // The offset is one of ours: there is none above 2^53 - 1.
  const offset = opaqueToNumber(readIn.offset);
  if (offset === -1) return exchange.fail(Errno.EINVAL);
  exchange.capacity = Math.min(readIn.size, exchange.payloadRoom);
  let refused = false;
  const emit = (item: DirectoryItem): boolean => {
    // After an early answer the buffer is the guest's again.
    const taken = exchange.state === "serving" && writeItem(exchange, item, kind);
    refused ||= !taken;
    return taken;
  };
  const plus = kind === "direntplus";
  const done = serving.fileSystem.readdir(nodeOf(exchange), handle, offset, plus, emit);
  return serving.answer(exchange, done, () => {
    // No bytes would mean the end of the directory.
    if (refused && exchange.filled === 0) return exchange.fail(Errno.EINVAL);
    return exchange.succeedInPlace(exchange.filled);
  });
}

/** Whether there was room. */
function writeItem(exchange: Exchange, item: DirectoryItem, kind: "dirent" | "direntplus"): boolean {
  const { name } = item;
  if (name.length === 0 || name.length > NAME_MAX)
    throw new RangeError(`a directory item with a name of ${name.length} bytes`);
  if (item.nextOffset === 0) throw new RangeError("a directory item whose next offset is 0: that is the start");
  const size = kind === "direntplus" ? direntplusSize(name.length) : direntSize(name.length);
  if (exchange.filled + size > exchange.capacity) return false;
  setOpaque(dirent.inode, item.inode);
  setOpaque(dirent.offset, item.nextOffset);
  dirent.type = item.type;
  const { reply } = exchange;
  if (kind === "dirent") {
    writeDirent(reply, OUT_HEADER_SIZE, dirent, name);
  } else {
    const entry = item.entry === undefined ? noEntry : fillEntry(entryOut, item.entry);
    writeDirentplus(reply, OUT_HEADER_SIZE, entry, dirent, name);
  }
  const record = reply.subarray(OUT_HEADER_SIZE, OUT_HEADER_SIZE + size);
  exchange.message.write(OUT_HEADER_SIZE + exchange.filled, record);
  exchange.filled += size;
  return true;
}

export const releasedir: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < RELEASE_IN_SIZE) return exchange.fail(Errno.EINVAL);
  readReleaseIn(exchange.bytes, IN_HEADER_SIZE, releaseIn);
  const handle = handleFrom(releaseIn.handle);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  return serving.answer(exchange, serving.fileSystem.releasedir(nodeOf(exchange), handle), finishEmpty);
};

export const fsyncdir: Operation = (serving, exchange) => {
  if (exchange.argumentBytes < FSYNC_IN_SIZE) return exchange.fail(Errno.EINVAL);
  const { fileSystem } = serving;
  if (fileSystem.fsyncdir === undefined) return exchange.fail(Errno.ENOSYS);
  const flags = readFsyncIn(exchange.bytes, IN_HEADER_SIZE, handleIn);
  const handle = handleFrom(handleIn);
  if (handle === undefined) return exchange.fail(Errno.EBADF);
  const done = fileSystem.fsyncdir(nodeOf(exchange), handle, (flags & FSYNC_DATA_ONLY) !== 0);
  return serving.answer(exchange, done, finishEmpty);
};
