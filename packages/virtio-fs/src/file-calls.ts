/**
 * The file system calls, as one thread sees them. Paths are absolute in the mount, `/`-separated; a string is UTF-8, a
 * Uint8Array is taken as it is (Linux names are bytes). Errors are SystemErrors with the device's errno.
 */
import type { DmaBuffer } from "@toril/memory";
import type { AbortSignalLike } from "@toril/virtio/platform";
import type { File } from "./driver/file.ts";

export type FilePath = string | Uint8Array;

/**
 * How long a call may wait; for ever unless told. The device is asked to cut the request short (FUSE_INTERRUPT), and the
 * call ends at once, whatever the device does: but a transfer to or from a *guest buffer* ends only when the device has
 * given the buffer back, because until then it may still write there.
 */
export interface FileWaitOptions {
  /** Milliseconds; then ETIMEDOUT. */
  readonly timeoutMs?: number;
  /** Ends the wait with ECANCELED, `cause` being the signal's reason. */
  readonly signal?: AbortSignalLike;
}

export interface OpenOptions extends FileWaitOptions {
  /** `r` read, `r+` both, `w` create or truncate, `wx` create only, `a` append (and `w+`, `wx+`, `a+`: read too). */
  readonly mode?: "r" | "r+" | "w" | "w+" | "wx" | "wx+" | "a" | "a+";
  /** Mode bits of a file that is created; 0o644 unless told. */
  readonly permissions?: number;
  /** Refuse when the last name is a symbolic link (ELOOP). */
  readonly noFollow?: boolean;
}

export type FileType = "file" | "directory" | "symlink" | "fifo" | "socket" | "block" | "character";

export interface FileStat {
  readonly type: FileType;
  /** Bytes. */
  readonly size: number;
  /** Permission bits and type, as st_mode. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** As the device names it; unique in the mount. */
  readonly inode: bigint;
  readonly blocks: number;
  readonly blockSize: number;
  /** Milliseconds since the epoch, with fractions (nanoseconds as far as a double holds them). */
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

export interface DirectoryEntry {
  /** Decoded as UTF-8, for people. */
  readonly name: string;
  /** The name's own bytes, for calls. */
  readonly rawName: Uint8Array;
  readonly type: FileType | "unknown";
  /** `undefined` when the device does not say so without a lookup: ask for `plus`, or stat. */
  readonly inode: bigint | undefined;
  /** With `plus`: what stat would say. */
  readonly stat?: FileStat;
}

export interface FileSystemStat {
  readonly blockSize: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly maxNameLength: number;
}

/** A run of file bytes that lies in the guest's file cache. Read it, lend it to a socket, then `unpin` it. */
export interface FilePiece {
  readonly buffer: DmaBuffer;
  readonly offset: number;
  readonly length: number;
}

export interface FileCalls {
  open(path: FilePath, options?: OpenOptions): Promise<File>;
  close(file: File): Promise<void>;
  /** At the file's position, which moves. 0 at the end of the file. */
  read(file: File, target: Uint8Array | FilePiece, options?: FileWaitOptions): Promise<number>;
  /**
   * At `position`; the file's own does not move. Fewer bytes than asked for at the end of the file, or where the device
   * could not read on: the next call says why. A guest buffer is filled by the device itself, without a copy, and lent to
   * it meanwhile.
   */
  pread(file: File, target: Uint8Array | FilePiece, position: number, options?: FileWaitOptions): Promise<number>;
  write(file: File, source: Uint8Array | FilePiece, options?: FileWaitOptions): Promise<number>;
  pwrite(file: File, source: Uint8Array | FilePiece, position: number, options?: FileWaitOptions): Promise<number>;
  seek(file: File, offset: number, from?: "start" | "current" | "end"): Promise<number>;
  /**
   * Cached bytes at `position`, at most `length` and at least one unless at the end of the file (`undefined`). Read
   * through the device when absent or out of date. The piece is pinned for the caller until `unpin`; its bytes stay as
   * they are, also when the file changes. It ends with a block of the cache (64 KiB) at the latest.
   */
  pin(file: File, position: number, length: number, options?: FileWaitOptions): Promise<FilePiece | undefined>;
  /** The same when the cache has it and it is valid: no wait, no allocation beyond the piece; -EAGAIN otherwise. */
  tryPin(file: File, position: number, length: number): FilePiece | undefined | number;
  unpin(piece: FilePiece): void;

  /** Follows symbolic links inside the mount. */
  stat(target: FilePath | File, options?: FileWaitOptions): Promise<FileStat>;
  lstat(path: FilePath, options?: FileWaitOptions): Promise<FileStat>;
  /** What is cached and still valid; -EAGAIN when the device must be asked, another negative errno when known. */
  tryStat(target: FilePath | File): FileStat | number;
  readdir(path: FilePath, options?: FileWaitOptions & { plus?: boolean }): Promise<DirectoryEntry[]>;
  mkdir(path: FilePath, permissions?: number): Promise<void>;
  unlink(path: FilePath): Promise<void>;
  rmdir(path: FilePath): Promise<void>;
  rename(from: FilePath, to: FilePath, options?: { noReplace?: boolean; exchange?: boolean }): Promise<void>;
  link(existing: FilePath, path: FilePath): Promise<void>;
  symlink(target: string | Uint8Array, path: FilePath): Promise<void>;
  readlink(path: FilePath): Promise<Uint8Array>;
  truncate(target: FilePath | File, size: number): Promise<void>;
  chmod(path: FilePath, permissions: number): Promise<void>;
  /** Milliseconds since the epoch; `undefined` leaves a time alone, "now" sets it to the device's time. */
  utimes(path: FilePath, atime: number | "now" | undefined, mtime: number | "now" | undefined): Promise<void>;
  fsync(file: File, options?: { dataOnly?: boolean }): Promise<void>;
  statfs(path?: FilePath): Promise<FileSystemStat>;
}
