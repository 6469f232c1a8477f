/** The file system calls of one thread: checks what the caller gives, waits for as long as he likes, throws errnos. */
import type { GuestMemory } from "@toril/memory";
import { type AbortSignalLike, type Clock, Errno } from "@toril/virtio/platform";
import type {
  DirectoryEntry,
  FileCalls,
  FilePath,
  FilePiece,
  FileStat,
  FileSystemStat,
  FileWaitOptions,
  OpenOptions,
} from "../file-calls.ts";
import type { AttributeCalls } from "./attribute-calls.ts";
import { toBytes } from "./byte-string.ts";
import { callError, checkPin, checkTransfer, isClosed, isPath, openFile, type Target } from "./call-checks.ts";
import { CallRunner } from "./call-runner.ts";
import type { Cancellation } from "./cancellation.ts";
import type { DirectoryReader } from "./directory-reader.ts";
import type { File, OpenFile } from "./file.ts";
import type { FileReader } from "./file-reader.ts";
import type { FileWriter } from "./file-writer.ts";
import type { GuestBuffers } from "./guest-buffers.ts";
import type { NameChanges } from "./name-changes.ts";
import type { Opener } from "./opener.ts";
import type { Operations } from "./operations.ts";
import type { PathCache } from "./path-cache.ts";
import { PinnedPiece } from "./pinned-piece.ts";
import type { Resolver } from "./resolver.ts";
import type { Tree } from "./tree.ts";

/** The parts of a driver that the calls of all its threads share. */
export interface CallParts {
  readonly memory: GuestMemory;
  readonly clock: Clock;
  readonly operations: Operations;
  readonly tree: Tree;
  readonly paths: PathCache;
  readonly resolver: Resolver;
  readonly opener: Opener;
  readonly reader: FileReader;
  readonly writer: FileWriter;
  readonly names: NameChanges;
  readonly attributes: AttributeCalls;
  readonly directories: DirectoryReader;
  readonly buffers: GuestBuffers;
}

export class ThreadFileCalls implements FileCalls {
  readonly #parts: CallParts;
  readonly #run: CallRunner;

  constructor(parts: CallParts, signal: AbortSignalLike | undefined) {
    this.#parts = parts;
    this.#run = new CallRunner(parts.clock, signal);
  }

  open(path: FilePath, options: OpenOptions = {}): Promise<File> {
    const run = (cancel: Cancellation | undefined) => this.#parts.opener.open(path, options, cancel);
    return this.#run.call("open", path, options, "at-once", run);
  }

  async close(file: File): Promise<void> {
    // Not to be cancelled: whatever happens, the file is closed.
    const own = this.#own("close", file);
    const result = await this.#parts.opener.close(own);
    if (result < 0) throw callError(result, "close", file);
  }

  async read(file: File, target: Uint8Array | FilePiece, options?: FileWaitOptions): Promise<number> {
    const own = this.#own("read", file);
    return own.inTurn(async () => {
      const count = await this.pread(file, target, own.position, options);
      own.position += count;
      return count;
    });
  }

  async pread(
    file: File,
    target: Uint8Array | FilePiece,
    position: number,
    options: FileWaitOptions = {},
  ): Promise<number> {
    const own = this.#own("read", file);
    if (!own.readable) throw callError(-Errno.EBADF, "read", file);
    checkTransfer(this.#parts.memory, "read", file, position, target);
    if (target.length === 0) return 0;
    if (target instanceof Uint8Array) {
      return this.#run.call("read", file, options, "at-once", (cancel) =>
        this.#parts.reader.readInto(own, target, position, cancel),
      );
    }
    return this.#run.call("read", file, options, "returned", (cancel) =>
      this.#parts.reader.readDirect(own, target, position, cancel),
    );
  }

  async write(file: File, source: Uint8Array | FilePiece, options?: FileWaitOptions): Promise<number> {
    const own = this.#own("write", file);
    const run = async (): Promise<number> => {
      const { count, end } = await this.#write(own, source, own.position, options);
      own.position = end;
      return count;
    };
    return own.appends ? run() : own.inTurn(run); // appends take turns by themselves
  }

  async pwrite(
    file: File,
    source: Uint8Array | FilePiece,
    position: number,
    options?: FileWaitOptions,
  ): Promise<number> {
    return (await this.#write(this.#own("write", file), source, position, options)).count;
  }

  async seek(file: File, offset: number, from: "start" | "current" | "end" = "start"): Promise<number> {
    const own = this.#own("seek", file);
    const base = from === "start" ? 0 : from === "current" ? own.position : (await this.stat(file)).size;
    const position = base + offset;
    if (!Number.isSafeInteger(position) || position < 0) throw callError(-Errno.EINVAL, "seek", file);
    own.position = position;
    return position;
  }

  pin(file: File, position: number, length: number, options: FileWaitOptions = {}): Promise<FilePiece | undefined> {
    const own = this.#own("pin", file);
    if (!own.readable) return Promise.reject(callError(-Errno.EBADF, "pin", file));
    checkPin(file, position, length);
    return this.#run.call("pin", file, options, "at-once", async (cancel) => {
      const piece = await this.#parts.reader.pin(own, position, length, cancel);
      if (cancel?.cancelled !== true || !(piece instanceof PinnedPiece)) return piece;
      piece.unpin(); // nobody waits for it any more
      return cancel.result;
    });
  }

  tryPin(file: File, position: number, length: number): FilePiece | undefined | number {
    if (isClosed(file)) return -Errno.EBADF;
    const own = this.#own("pin", file);
    if (!own.readable) return -Errno.EBADF;
    checkPin(file, position, length);
    return this.#parts.reader.tryPin(own, position, length);
  }

  unpin(piece: FilePiece): void {
    if (!(piece instanceof PinnedPiece)) throw new TypeError("unpin takes what pin and tryPin have returned");
    piece.unpin();
    if (this.#parts.buffers.waiting > 0) this.#parts.buffers.retry();
  }

  stat(target: Target, options: FileWaitOptions = {}): Promise<FileStat> {
    if (isPath(target)) return this.#stat("stat", target, "node", options);
    const own = this.#own("stat", target);
    return this.#run.call("stat", target, options, "at-once", (cancel) => this.#parts.attributes.statFile(own, cancel));
  }

  lstat(path: FilePath, options: FileWaitOptions = {}): Promise<FileStat> {
    return this.#stat("lstat", path, "link", options);
  }

  tryStat(target: Target): FileStat | number {
    const { tree, paths, clock } = this.#parts;
    if (!isPath(target)) {
      if (isClosed(target)) return -Errno.EBADF;
      const own = this.#own("stat", target);
      return tree.tryStat(own.node) ?? -Errno.EAGAIN;
    }
    const now = clock.now();
    const node = paths.tryResolve(target, now);
    if (typeof node === "number") return node;
    const { attributes } = node;
    return now < attributes.validUntil && attributes.stat !== undefined ? attributes.stat : -Errno.EAGAIN;
  }

  readdir(path: FilePath, options: FileWaitOptions & { plus?: boolean } = {}): Promise<DirectoryEntry[]> {
    const plus = options.plus === true;
    return this.#run.call("readdir", path, options, "at-once", (cancel) =>
      this.#parts.directories.readdir(path, plus, cancel),
    );
  }

  mkdir(path: FilePath, permissions = 0o755): Promise<void> {
    return this.#run.do("mkdir", path, (cancel) => this.#parts.names.mkdir(path, permissions, cancel));
  }

  unlink(path: FilePath): Promise<void> {
    return this.#run.do("unlink", path, (cancel) => this.#parts.names.unlink(path, cancel));
  }

  rmdir(path: FilePath): Promise<void> {
    return this.#run.do("rmdir", path, (cancel) => this.#parts.names.rmdir(path, cancel));
  }

  rename(from: FilePath, to: FilePath, options: { noReplace?: boolean; exchange?: boolean } = {}): Promise<void> {
    return this.#run.do("rename", from, (cancel) => this.#parts.names.rename(from, to, options, cancel), to);
  }

  link(existing: FilePath, path: FilePath): Promise<void> {
    return this.#run.do("link", existing, (cancel) => this.#parts.names.link(existing, path, cancel), path);
  }

  symlink(target: string | Uint8Array, path: FilePath): Promise<void> {
    return this.#run.do("symlink", target, (cancel) => this.#parts.names.symlink(target, path, cancel), path);
  }

  readlink(path: FilePath): Promise<Uint8Array> {
    const { resolver, tree } = this.#parts;
    return this.#run.call("readlink", path, {}, "at-once", (cancel) =>
      resolver.at(path, "link", cancel, async ({ node }) => {
        if (!node.isSymlink) return -Errno.EINVAL;
        const target = await tree.readlink(node, cancel);
        return typeof target === "number" ? target : toBytes(target);
      }),
    );
  }

  truncate(target: Target, size: number): Promise<void> {
    const { attributes } = this.#parts;
    if (!Number.isSafeInteger(size) || size < 0) return Promise.reject(callError(-Errno.EINVAL, "truncate", target));
    if (isPath(target)) return this.#run.do("truncate", target, (cancel) => attributes.truncate(target, size, cancel));
    const own = this.#own("truncate", target);
    if (!own.writable) return Promise.reject(callError(-Errno.EINVAL, "truncate", target));
    return this.#run.do("truncate", target, (cancel) => attributes.truncateFile(own, size, cancel));
  }

  chmod(path: FilePath, permissions: number): Promise<void> {
    return this.#run.do("chmod", path, (cancel) => this.#parts.attributes.chmod(path, permissions, cancel));
  }

  utimes(path: FilePath, atime: number | "now" | undefined, mtime: number | "now" | undefined): Promise<void> {
    return this.#run.do("utimes", path, (cancel) => this.#parts.attributes.utimes(path, atime, mtime, cancel));
  }

  fsync(file: File, options: { dataOnly?: boolean } = {}): Promise<void> {
    const own = this.#own("fsync", file);
    const what = options.dataOnly === true ? "data" : "all";
    return this.#run.do("fsync", file, async (cancel) => {
      const result = await this.#parts.operations.fsync(own.node.id, own.handle, what, cancel);
      return result === -Errno.ENOSYS ? 0 : result; // as Linux: there is nothing to be synced
    });
  }

  statfs(path: FilePath = "/"): Promise<FileSystemStat> {
    return this.#run.call("statfs", path, {}, "at-once", (cancel) => this.#parts.attributes.statfs(path, cancel));
  }

  #stat(syscall: string, path: FilePath, goal: "node" | "link", options: FileWaitOptions): Promise<FileStat> {
    return this.#run.call(syscall, path, options, "at-once", (cancel) =>
      this.#parts.attributes.stat(path, goal, cancel),
    );
  }

  async #write(
    own: OpenFile,
    source: Uint8Array | FilePiece,
    position: number,
    options: FileWaitOptions = {},
  ): Promise<{ readonly count: number; readonly end: number }> {
    if (!own.writable) throw callError(-Errno.EBADF, "write", own);
    checkTransfer(this.#parts.memory, "write", own, position, source);
    if (source.length === 0) return { count: 0, end: position };
    const settling = source instanceof Uint8Array ? "at-once" : "returned";
    return this.#run.call("write", own, options, settling, (cancel) =>
      this.#parts.writer.write(own, source, position, cancel),
    );
  }

  #own(syscall: string, file: File): OpenFile {
    return openFile(this.#parts.opener, syscall, file);
  }
}
