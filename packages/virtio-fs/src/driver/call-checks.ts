/** What a caller may give a file call, and how a call fails. */
import type { GuestMemory } from "@toril/memory";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { FilePath, FilePiece } from "../file-calls.ts";
import { type File, OpenFile } from "./file.ts";
import { showPath } from "./paths.ts";

/** What a call is about. */
export type Target = FilePath | File;

export function isPath(target: Target): target is FilePath {
  return typeof target === "string" || target instanceof Uint8Array;
}

/** For `try…` calls, which do not throw for it. */
export function isClosed(file: File): boolean {
  return file instanceof OpenFile && file.closed;
}

/** The error for a negative errno. */
export function callError(
  result: number,
  syscall: string,
  what: Target,
  second?: FilePath,
  cause?: unknown,
): SystemError {
  const first = isPath(what) ? showPath(what) : "an open file";
  const error = new SystemError(-result, syscall, second === undefined ? first : `${first}, ${showPath(second)}`);
  if (cause !== undefined) error.cause = cause;
  return error;
}

/**
 * An open file of this driver.
 * @throws TypeError for another driver's file, SystemError EBADF for a closed one
 */
export function openFile(owner: object, syscall: string, file: File): OpenFile {
  if (!(file instanceof OpenFile) || file.owner !== owner) {
    throw new TypeError(`${syscall}: the file was not opened with this driver`);
  }
  if (file.closed) throw callError(-Errno.EBADF, syscall, file);
  return file;
}

/** @throws SystemError EINVAL for a position that is none; TypeError, RangeError for a buffer that cannot be used */
export function checkTransfer(
  memory: GuestMemory,
  syscall: string,
  file: File,
  position: number,
  bytes: Uint8Array | FilePiece,
): void {
  const { length } = bytes;
  if (!Number.isSafeInteger(position) || position < 0 || !Number.isSafeInteger(position + length)) {
    throw callError(-Errno.EINVAL, syscall, file);
  }
  if (bytes instanceof Uint8Array) return;
  const { buffer, offset } = bytes;
  if (buffer.memory !== memory) throw new TypeError(`${syscall}: the buffer is not in this driver's guest memory`);
  if (!(offset >= 0 && length >= 0 && offset + length <= buffer.length)) {
    throw new RangeError(`${syscall}: ${length} bytes at ${offset} are not inside a buffer of ${buffer.length}`);
  }
}

/** @throws SystemError EINVAL */
export function checkPin(file: File, position: number, length: number): void {
  if (Number.isSafeInteger(position) && position >= 0 && Number.isSafeInteger(length) && length > 0) return;
  throw callError(-Errno.EINVAL, "pin", file);
}
