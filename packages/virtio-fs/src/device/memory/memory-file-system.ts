/**
 * A whole file system in memory: for tests, for guests without a disk, and as the example of a FileSystem. It behaves as
 * Linux' own do (tmpfs), but for permissions: those are the guest's to check, as its kernel does for virtio-fs.
 */
import { Errno, SystemError } from "@toril/virtio/platform";
import { NAME_MAX, RenameFlag } from "../../wire/names.ts";
import { OpenFlag } from "../../wire/open.ts";
import type {
  AttributeChanges,
  Attributes,
  Caller,
  DirectoryItem,
  Entry,
  FileHandle,
  FileName,
  FileSystem,
  FileSystemStatistics,
  NodeId,
  OpenResult,
  Timestamp,
} from "../file-system.ts";
import { FileData, Space } from "./file-data.ts";
import { attributesOf, type FileInode, FileMode, isFile, type MemoryInode, nameBytes, nameKey } from "./inode.ts";
import { addFileAt, readFileAt, symlinkAt } from "./seed.ts";
import { type RenameMode, Tree } from "./tree.ts";

export interface MemoryFileSystemOptions {
  /** Bytes that all files together may take, in chunks of 64 KiB; 64 MiB unless told. */
  readonly maxBytes?: number;
  /** Inodes there may be; 65,536 unless told. */
  readonly maxInodes?: number;
  /** Seconds for which a guest may believe names and attributes; 1 unless told. */
  readonly validSeconds?: number;
  /** The time; the engine's Date unless told. */
  readonly now?: () => Timestamp;
}

const BLOCK_SIZE = 4096;
const SEEK_DATA = 3;
/** fallocate(2) */
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;

interface OpenHandle {
  readonly inode: MemoryInode;
  readonly flags: number;
  /** A directory's names as they were when reading started: what makes offsets stable. */
  names: readonly string[];
}

export class MemoryFileSystem implements FileSystem {
  readonly #tree: Tree;
  readonly #space: Space;
  readonly #handles = new Map<FileHandle, OpenHandle>();
  readonly #valid: number;
  readonly #maxInodes: number;
  readonly #now: () => Timestamp;
  #lastHandle = 0;

  constructor(options: MemoryFileSystemOptions = {}) {
    const { maxBytes = 64 * 1024 * 1024, maxInodes = 65_536, validSeconds = 1, now = systemTime } = options;
    this.#space = new Space(maxBytes);
    this.#maxInodes = maxInodes;
    this.#valid = validSeconds;
    this.#now = now;
    this.#tree = new Tree(maxInodes, now);
  }

  /**
   * Puts a file where the guest will find it, with the directories that lead to it. Replaces what it held before.
   * @param path names with `/` between them
   * @throws SystemError as the calls do
   */
  addFile(path: string, content: string | Uint8Array, mode = 0o644): void {
    addFileAt(this.#tree, this.#space, path, content, mode);
  }

  /** @throws SystemError as the calls do */
  addSymlink(path: string, target: string): void {
    symlinkAt(this.#tree, path, target);
  }

  /** What a file holds now. @throws SystemError ENOENT, EISDIR */
  readFile(path: string): Uint8Array {
    return readFileAt(this.#tree, path);
  }

  reset(): void {
    this.#handles.clear();
    this.#tree.dropUses();
  }

  lookup(parent: NodeId, name: FileName): Entry {
    return this.#entry(this.#tree.child(this.#tree.directory(parent, "lookup"), name, "lookup"));
  }

  forget(node: NodeId, count: number): void {
    const inode = this.#tree.find(node);
    if (inode === undefined) return;
    inode.lookups = Math.max(0, inode.lookups - count);
    this.#tree.collect(inode);
  }

  getattr(node: NodeId): { attributes: Attributes; valid: number } {
    return { attributes: attributesOf(this.#tree.inode(node, "getattr")), valid: this.#valid };
  }

  setattr(node: NodeId, changes: AttributeChanges): { attributes: Attributes; valid: number } {
    const inode = this.#tree.inode(node, "setattr");
    const now = this.#now();
    if (changes.size !== undefined) {
      this.#file(inode, "truncate").content.data.truncate(changes.size);
      inode.mtime = now;
    }
    if (changes.mode !== undefined) {
      inode.mode = (inode.mode & FileMode.TypeMask) | (changes.mode & FileMode.PermissionMask);
    }
    if (changes.uid !== undefined) inode.uid = changes.uid;
    if (changes.gid !== undefined) inode.gid = changes.gid;
    if (changes.atime !== undefined) inode.atime = changes.atime === "now" ? now : changes.atime;
    if (changes.mtime !== undefined) inode.mtime = changes.mtime === "now" ? now : changes.mtime;
    inode.ctime = now;
    return this.getattr(node);
  }

  readlink(node: NodeId): Uint8Array {
    const { content } = this.#tree.inode(node, "readlink");
    if (content.kind !== "symlink") throw new SystemError(Errno.EINVAL, "readlink");
    return content.target;
  }

  open(node: NodeId, flags: number): OpenResult {
    const inode = this.#tree.inode(node, "open");
    const file = this.#file(inode, "open");
    if ((flags & OpenFlag.Truncate) !== 0) this.#truncate(file);
    return { handle: this.#openHandle(file, flags) };
  }

  create(parent: NodeId, name: FileName, mode: number, flags: number, caller: Caller): Entry & OpenResult {
    const directory = this.#tree.directory(parent, "create");
    const existing = directory.content.names.get(nameKey(name));
    let inode: MemoryInode;
    if (existing !== undefined) {
      if ((flags & OpenFlag.Exclusive) !== 0) throw new SystemError(Errno.EEXIST, "create");
      inode = this.#file(existing, "create");
      if ((flags & OpenFlag.Truncate) !== 0) this.#truncate(this.#file(inode, "create"));
    } else {
      inode = this.#make(parent, name, FileMode.Regular | (mode & FileMode.PermissionMask), 0, caller, "create");
    }
    return { ...this.#entry(inode), handle: this.#openHandle(inode, flags) };
  }

  read(node: NodeId, handle: FileHandle, offset: number, targets: readonly Uint8Array[]): number {
    const { inode, flags } = this.#handle(node, handle, "read");
    if ((flags & OpenFlag.AccessMode) === OpenFlag.WriteOnly) throw new SystemError(Errno.EBADF, "read");
    return this.#file(inode, "read").content.data.read(offset, targets);
  }

  write(node: NodeId, handle: FileHandle, offset: number, sources: readonly Uint8Array[]): number {
    const { inode, flags } = this.#handle(node, handle, "write");
    if ((flags & OpenFlag.AccessMode) === OpenFlag.ReadOnly) throw new SystemError(Errno.EBADF, "write");
    const { data } = this.#file(inode, "write").content;
    const written = data.write((flags & OpenFlag.Append) !== 0 ? data.size : offset, sources);
    if (written > 0) this.#modified(inode);
    return written;
  }

  flush(node: NodeId, handle: FileHandle): void {
    this.#handle(node, handle, "flush");
  }

  fsync(node: NodeId, handle: FileHandle): void {
    this.#handle(node, handle, "fsync");
  }

  release(_node: NodeId, handle: FileHandle): void {
    const open = this.#handles.get(handle);
    if (open === undefined || !this.#handles.delete(handle)) return;
    open.inode.opens--;
    this.#tree.collect(open.inode);
  }

  fallocate(node: NodeId, handle: FileHandle, mode: number, offset: number, length: number): void {
    const { inode, flags } = this.#handle(node, handle, "fallocate");
    if ((flags & OpenFlag.AccessMode) === OpenFlag.ReadOnly) throw new SystemError(Errno.EBADF, "fallocate");
    const { data } = this.#file(inode, "fallocate").content;
    if (mode === (PUNCH_HOLE | KEEP_SIZE)) data.punch(offset, length);
    else if (mode === 0 || mode === KEEP_SIZE) data.allocate(offset, length);
    else throw new SystemError(Errno.EOPNOTSUPP, "fallocate", `mode ${mode}`);
    if (mode === 0 && offset + length > data.size) data.truncate(offset + length);
    this.#modified(inode);
  }

  lseek(node: NodeId, handle: FileHandle, offset: number, whence: number): number {
    const { inode } = this.#handle(node, handle, "lseek");
    const found = this.#file(inode, "lseek").content.data.find(whence === SEEK_DATA ? "data" : "hole", offset);
    if (found === undefined) throw new SystemError(Errno.ENXIO, "lseek");
    return found;
  }

  opendir(node: NodeId): OpenResult {
    return { handle: this.#openHandle(this.#tree.directory(node, "opendir"), 0) };
  }

  /** Offset n is behind the n-th item of "." and ".." and the names as they were at the start. */
  readdir(
    node: NodeId,
    handle: FileHandle,
    offset: number,
    plus: boolean,
    emit: (item: DirectoryItem) => boolean,
  ): void {
    const open = this.#handle(node, handle, "readdir");
    const directory = this.#tree.directory(open.inode.node, "readdir");
    if (offset === 0) open.names = [".", "..", ...directory.content.names.keys()];
    for (let i = offset; i < open.names.length; i++) {
      const key = open.names[i] ?? "";
      if (i < 2) {
        const inode = i === 0 ? directory : (directory.content.parent ?? directory);
        if (!emit(item(key, inode, i + 1))) return;
        continue;
      }
      const inode = directory.content.names.get(key);
      if (inode === undefined) continue; // removed since the start
      if (!plus) {
        if (!emit(item(key, inode, i + 1))) return;
        continue;
      }
      // Counted once it is delivered, not before.
      const taken = emit({ ...item(key, inode, i + 1), entry: this.#describe(inode) });
      if (!taken) return;
      inode.lookups++;
    }
  }

  releasedir(node: NodeId, handle: FileHandle): void {
    this.release(node, handle);
  }

  fsyncdir(node: NodeId, handle: FileHandle): void {
    this.#handle(node, handle, "fsyncdir");
  }

  mkdir(parent: NodeId, name: FileName, mode: number, caller: Caller): Entry {
    const directory = this.#tree.directory(parent, "mkdir");
    const content = { kind: "directory", names: new Map<string, MemoryInode>(), parent: directory } as const;
    const made = { content, mode: FileMode.Directory | (mode & FileMode.PermissionMask), ...owner(caller) };
    return this.#entry(this.#tree.add(directory, name, made, "mkdir"));
  }

  mknod(parent: NodeId, name: FileName, mode: number, rdev: number, caller: Caller): Entry {
    return this.#entry(this.#make(parent, name, mode, rdev, caller, "mknod"));
  }

  symlink(parent: NodeId, name: FileName, target: Uint8Array, caller: Caller): Entry {
    const directory = this.#tree.directory(parent, "symlink");
    const made = { content: { kind: "symlink", target } as const, mode: FileMode.Symlink | 0o777, ...owner(caller) };
    return this.#entry(this.#tree.add(directory, name, made, "symlink"));
  }

  link(node: NodeId, newParent: NodeId, newName: FileName): Entry {
    const inode = this.#tree.inode(node, "link");
    this.#tree.link(inode, this.#tree.directory(newParent, "link"), newName);
    return this.#entry(inode);
  }

  unlink(parent: NodeId, name: FileName): void {
    this.#tree.unlink(this.#tree.directory(parent, "unlink"), name);
  }

  rmdir(parent: NodeId, name: FileName): void {
    this.#tree.rmdir(this.#tree.directory(parent, "rmdir"), name);
  }

  rename(parent: NodeId, name: FileName, newParent: NodeId, newName: FileName, flags: number): void {
    const from = this.#tree.directory(parent, "rename");
    const to = this.#tree.directory(newParent, "rename");
    this.#tree.rename(from, name, to, newName, renameMode(flags));
  }

  statfs(): FileSystemStatistics {
    const blocks = Math.floor(this.#space.limit / BLOCK_SIZE);
    const free = Math.floor((this.#space.limit - this.#space.used) / BLOCK_SIZE);
    return {
      blocks,
      blocksFree: free,
      blocksAvailable: free,
      files: this.#maxInodes,
      filesFree: this.#maxInodes - this.#tree.inodeCount,
      blockSize: BLOCK_SIZE,
      nameLength: NAME_MAX,
      fragmentSize: BLOCK_SIZE,
    };
  }

  #make(parent: NodeId, name: FileName, mode: number, rdev: number, caller: Caller, call: string): MemoryInode {
    const directory = this.#tree.directory(parent, call);
    const type = mode & FileMode.TypeMask;
    if (type === FileMode.Directory || type === FileMode.Symlink) throw new SystemError(Errno.EPERM, call);
    const regular = type === 0 || type === FileMode.Regular;
    const content = regular
      ? ({ kind: "file", data: new FileData(this.#space) } as const)
      : ({ kind: "special" } as const);
    const full = (regular ? FileMode.Regular : type) | (mode & FileMode.PermissionMask);
    return this.#tree.add(directory, name, { content, mode: full, rdev, ...owner(caller) }, call);
  }

  #entry(inode: MemoryInode): Entry {
    inode.lookups++;
    return this.#describe(inode);
  }

  #describe(inode: MemoryInode): Entry {
    const valid = this.#valid;
    return {
      node: inode.node,
      generation: 0,
      attributes: attributesOf(inode),
      entryValid: valid,
      attributesValid: valid,
    };
  }

  #openHandle(inode: MemoryInode, flags: number): FileHandle {
    const handle = ++this.#lastHandle as FileHandle;
    inode.opens++;
    this.#handles.set(handle, { inode, flags, names: [] });
    return handle;
  }

  #handle(node: NodeId, handle: FileHandle, call: string): OpenHandle {
    const open = this.#handles.get(handle);
    if (open === undefined || open.inode.node !== node) throw new SystemError(Errno.EBADF, call, `handle ${handle}`);
    return open;
  }

  #file(inode: MemoryInode, call: string): FileInode {
    if (isFile(inode)) return inode;
    const { kind } = inode.content;
    const errno = kind === "directory" ? Errno.EISDIR : kind === "symlink" ? Errno.ELOOP : Errno.EINVAL;
    throw new SystemError(errno, call);
  }

  #truncate(file: FileInode): void {
    file.content.data.truncate(0);
    this.#modified(file);
  }

  #modified(inode: MemoryInode): void {
    this.#tree.modified(inode);
  }
}

function item(key: string, inode: MemoryInode, nextOffset: number): DirectoryItem {
  return { name: nameBytes(key), inode: inode.node, type: (inode.mode & FileMode.TypeMask) >> 12, nextOffset };
}

function owner(caller: Caller): { uid: number; gid: number } {
  return { uid: caller.uid, gid: caller.gid };
}

function renameMode(flags: number): RenameMode {
  if (flags === RenameFlag.Exchange) return "exchange";
  return flags === RenameFlag.NoReplace ? "no-replace" : "replace";
}

function systemTime(): Timestamp {
  const ms = Date.now();
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: (ms - seconds * 1000) * 1e6 };
}
