/**
 * File calls that outlive their driver: the device behind them may go away, and another driver take its place. While there
 * is none, calls end with EIO, as those of a driver whose device is gone do.
 *
 * A file that was open then is opened again by its path, at the next call with it, where that is sound: it was open for
 * reading only, and the path still leads to the same file, unchanged (inode, size, ctime). Otherwise the call ends with
 * ESTALE, as with NFS.
 */
import { type AbortSignalLike, Errno, SystemError } from "@toril/virtio/platform";
import type {
  DirectoryEntry,
  File,
  FileCalls,
  FileDriver,
  FilePath,
  FilePiece,
  FileStat,
  FileSystemStat,
  FileWaitOptions,
  OpenOptions,
} from "@toril/virtio-fs";

export type Access = "read-only" | "writable";

export class ReplaceableFiles {
  /** The one that calls go to. */
  driver: FileDriver;
  /** With `read-only` changes end with EROFS, whatever the device would say. */
  readonly access: Access;

  constructor(driver: FileDriver, access: Access) {
    this.driver = driver;
    this.access = access;
  }

  callsFor(options: { readonly signal?: AbortSignalLike } = {}): FileCalls {
    return new ReplaceableCalls(this, options);
  }
}

/** What `open` returns: an open file of a driver, and what it takes to open it again. */
class LastingFile implements File {
  readonly kind = "file";
  readonly files: ReplaceableFiles;
  readonly path: FilePath;
  readonly options: OpenOptions;
  driver: FileDriver;
  /** Of `driver`. */
  file: File;
  /** As last seen through this handle. */
  stat: FileStat | undefined;
  /** Closed, or lost for good, while its driver was not the present one. */
  fate: "open" | "closed" | "stale" = "open";
  #reopening: Promise<File> | undefined;

  constructor(files: ReplaceableFiles, driver: FileDriver, file: File, path: FilePath, options: OpenOptions) {
    this.files = files;
    this.driver = driver;
    this.file = file;
    this.path = typeof path === "string" ? path : path.slice();
    this.options = options;
  }

  get current(): boolean {
    return this.driver === this.files.driver;
  }

  saw(stat: FileStat | number): void {
    if (typeof stat !== "number") this.stat = stat;
  }

  /** Once for all that wait. @throws SystemError ESTALE, EBADF, or why it cannot be opened now */
  reopen(syscall: string): Promise<File> {
    this.#reopening ??= this.#reopen(syscall).finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #reopen(syscall: string): Promise<File> {
    if (this.fate === "closed") throw new SystemError(Errno.EBADF, syscall, "an open file");
    const { mode = "r", noFollow } = this.options;
    if (this.fate === "stale" || mode !== "r" || this.stat === undefined) throw this.#stale(syscall);
    const { driver } = this.files;
    // No thread's own: others may wait for this, too.
    const calls = driver.callsFor();
    let file: File;
    try {
      file = await calls.open(this.path, noFollow === undefined ? {} : { noFollow });
    } catch (error) {
      if (error instanceof SystemError && error.errno === Errno.ENOENT) throw this.#stale(syscall);
      throw error;
    }
    const stat = await calls.stat(file);
    if (!sameFile(stat, this.stat)) {
      await calls.close(file);
      throw this.#isClosed() ? new SystemError(Errno.EBADF, syscall, "an open file") : this.#stale(syscall);
    }
    // The position is the handle's, and needs no device to be told.
    await calls.seek(file, await this.driver.callsFor().seek(this.file, 0, "current"));
    if (this.#isClosed()) {
      await calls.close(file);
      throw new SystemError(Errno.EBADF, syscall, "an open file");
    }
    this.driver = driver;
    this.file = file;
    return file;
  }

  #isClosed(): boolean {
    return this.fate === "closed";
  }

  #stale(syscall: string): SystemError {
    this.fate = "stale";
    return new SystemError(Errno.ESTALE, syscall, "the file's device was replaced: open it again");
  }
}

class ReplaceableCalls implements FileCalls {
  readonly #files: ReplaceableFiles;
  readonly #options: { readonly signal?: AbortSignalLike };
  #driver: FileDriver;
  #calls: FileCalls;

  constructor(files: ReplaceableFiles, options: { readonly signal?: AbortSignalLike }) {
    this.#files = files;
    this.#options = options;
    this.#driver = files.driver;
    this.#calls = files.driver.callsFor(options);
  }

  async open(path: FilePath, options: OpenOptions = {}): Promise<File> {
    if ((options.mode ?? "r") !== "r") this.#mayChange("open");
    const calls = this.#now();
    const driver = this.#driver;
    const file = new LastingFile(this.#files, driver, await calls.open(path, options), path, { ...options });
    file.saw(calls.tryStat(file.file));
    return file;
  }

  async close(file: File): Promise<void> {
    const own = this.#own("close", file);
    if (own.current) return this.#now().close(own.file);
    // What its device had of it went with the device.
    if (own.fate === "closed") throw new SystemError(Errno.EBADF, "close", "an open file");
    own.fate = "closed";
  }

  read(file: File, target: Uint8Array | FilePiece, options?: FileWaitOptions): Promise<number> {
    return this.#with("read", file, (calls, own) => calls.read(own, target, options));
  }

  pread(file: File, target: Uint8Array | FilePiece, position: number, options?: FileWaitOptions): Promise<number> {
    return this.#with("read", file, (calls, own) => calls.pread(own, target, position, options));
  }

  write(file: File, source: Uint8Array | FilePiece, options?: FileWaitOptions): Promise<number> {
    return this.#with("write", file, (calls, own) => calls.write(own, source, options));
  }

  pwrite(file: File, source: Uint8Array | FilePiece, position: number, options?: FileWaitOptions): Promise<number> {
    return this.#with("write", file, (calls, own) => calls.pwrite(own, source, position, options));
  }

  seek(file: File, offset: number, from?: "start" | "current" | "end"): Promise<number> {
    return this.#with("seek", file, (calls, own) => calls.seek(own, offset, from));
  }

  pin(file: File, position: number, length: number, options?: FileWaitOptions): Promise<FilePiece | undefined> {
    return this.#with("pin", file, (calls, own) => calls.pin(own, position, length, options));
  }

  tryPin(file: File, position: number, length: number): FilePiece | undefined | number {
    const own = this.#own("pin", file);
    if (own.current) return this.#now().tryPin(own.file, position, length);
    return own.fate === "closed" ? -Errno.EBADF : -Errno.EAGAIN; // `pin` opens it again
  }

  /** Pieces are guest memory: they outlive the driver that made them. */
  unpin(piece: FilePiece): void {
    this.#now().unpin(piece);
  }

  async stat(target: FilePath | File, options?: FileWaitOptions): Promise<FileStat> {
    if (isPath(target)) return this.#now().stat(target, options);
    const own = this.#own("stat", target);
    // The usual case takes no more promises than it must: this is asked often.
    const stat = own.current
      ? await this.#now().stat(own.file, options)
      : await this.#with("stat", target, (calls, file) => calls.stat(file, options));
    own.saw(stat);
    return stat;
  }

  lstat(path: FilePath, options?: FileWaitOptions): Promise<FileStat> {
    return this.#now().lstat(path, options);
  }

  tryStat(target: FilePath | File): FileStat | number {
    if (isPath(target)) return this.#now().tryStat(target);
    const own = this.#own("stat", target);
    if (own.current) return this.#now().tryStat(own.file);
    return own.fate === "closed" ? -Errno.EBADF : -Errno.EAGAIN;
  }

  readdir(path: FilePath, options?: FileWaitOptions & { plus?: boolean }): Promise<DirectoryEntry[]> {
    return this.#now().readdir(path, options);
  }

  async mkdir(path: FilePath, permissions?: number): Promise<void> {
    this.#mayChange("mkdir");
    return this.#now().mkdir(path, permissions);
  }

  async unlink(path: FilePath): Promise<void> {
    this.#mayChange("unlink");
    return this.#now().unlink(path);
  }

  async rmdir(path: FilePath): Promise<void> {
    this.#mayChange("rmdir");
    return this.#now().rmdir(path);
  }

  async rename(from: FilePath, to: FilePath, options?: { noReplace?: boolean; exchange?: boolean }): Promise<void> {
    this.#mayChange("rename");
    return this.#now().rename(from, to, options);
  }

  async link(existing: FilePath, path: FilePath): Promise<void> {
    this.#mayChange("link");
    return this.#now().link(existing, path);
  }

  async symlink(target: string | Uint8Array, path: FilePath): Promise<void> {
    this.#mayChange("symlink");
    return this.#now().symlink(target, path);
  }

  readlink(path: FilePath): Promise<Uint8Array> {
    return this.#now().readlink(path);
  }

  async truncate(target: FilePath | File, size: number): Promise<void> {
    this.#mayChange("truncate");
    if (isPath(target)) return this.#now().truncate(target, size);
    return this.#with("truncate", target, (calls, own) => calls.truncate(own, size));
  }

  async chmod(path: FilePath, permissions: number): Promise<void> {
    this.#mayChange("chmod");
    return this.#now().chmod(path, permissions);
  }

  async utimes(path: FilePath, atime: number | "now" | undefined, mtime: number | "now" | undefined): Promise<void> {
    this.#mayChange("utimes");
    return this.#now().utimes(path, atime, mtime);
  }

  fsync(file: File, options?: { dataOnly?: boolean }): Promise<void> {
    return this.#with("fsync", file, (calls, own) => calls.fsync(own, options));
  }

  statfs(path?: FilePath): Promise<FileSystemStat> {
    return this.#now().statfs(path);
  }

  /** This thread's calls to the present driver. */
  #now(): FileCalls {
    const { driver } = this.#files;
    if (driver !== this.#driver) {
      this.#driver = driver;
      this.#calls = driver.callsFor(this.#options);
    }
    return this.#calls;
  }

  async #with<T>(syscall: string, file: File, call: (calls: FileCalls, file: File) => Promise<T>): Promise<T> {
    const own = this.#own(syscall, file);
    const open = own.current ? own.file : await own.reopen(syscall);
    // Replaced once more meanwhile: that is a device that comes and goes.
    if (!own.current) throw new SystemError(Errno.EIO, syscall, "the file's device is gone");
    return call(this.#now(), open);
  }

  #own(syscall: string, file: File): LastingFile {
    if (file instanceof LastingFile && file.files === this.#files) return file;
    throw new TypeError(`${syscall}: the file was not opened with these calls`);
  }

  #mayChange(syscall: string): void {
    if (this.#files.access === "writable") return;
    throw new SystemError(Errno.EROFS, syscall, "the machine's directory is read-only");
  }
}

function isPath(target: FilePath | File): target is FilePath {
  return typeof target === "string" || target instanceof Uint8Array;
}

function sameFile(one: FileStat, other: FileStat): boolean {
  return one.inode === other.inode && one.size === other.size && one.ctimeMs === other.ctimeMs;
}
