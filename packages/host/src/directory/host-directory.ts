/**
 * A directory of this machine as a FileSystem, confined: no path, link, `..`, rename race or special file leads out of
 * it. Every name is walked alone, from a descriptor of its directory (linux-path.ts, node-table.ts), so that what the
 * host or the guest moves meanwhile changes nothing. Symbolic links are handed to the guest, which follows them in its
 * own tree. FIFOs, sockets and devices can be looked at, never opened.
 *
 * Calls are synchronous, because a system call on cached data is shorter than a trip to the thread pool; FSYNC goes
 * there, and READ from `poolReadBytes` on.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readlinkSync, statfsSync } from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import type {
  AttributeChanges,
  Attributes,
  DirectoryItem,
  Entry,
  FileHandle,
  FileName,
  FileSystem,
  FileSystemStatistics,
  NodeId,
  OpenResult,
} from "@toril/virtio-fs/device";
import { changeAttributes } from "./attribute-changes.ts";
import { fileRead, fileReadPooled, fileSync, fileWrite } from "./file-data.ts";
import { attributesOf, directoryType } from "./host-attributes.ts";
import { descriptorLimit } from "./limits.ts";
import { inodePath } from "./linux-path.ts";
import * as names from "./name-changes.ts";
import { type Found, type HostNode, NodeTable } from "./node-table.ts";
import { OpenHandles } from "./open-handles.ts";
import { openRoot } from "./root.ts";

export interface HostDirectoryOptions {
  /** The directory to serve. It is held from now on, whatever happens to its name. */
  readonly path: string;
  /** `read-only` unless told: everything that would write answers EROFS. */
  readonly access?: "read-only" | "writable";
  /** Seconds for which the guest may believe names and attributes; 1 unless told. */
  readonly validSeconds?: number;
  /** READs of at least this many bytes go to the thread pool, with one more copy; none unless told. */
  readonly poolReadBytes?: number;
  /** Descriptors for inodes that the guest knows; a quarter of the process's limit, at most 2,048, unless told. */
  readonly maxPathDescriptors?: number;
  /** Files and directories that the guest may have open; half of the process's limit unless told. */
  readonly maxOpenHandles?: number;
}

const DEFAULT_PATH_DESCRIPTORS = 2048;
/** A rename works with two directories, and each may have to be opened again. */
const LEAST_PATH_DESCRIPTORS = 4;
/** open(2) flags that are passed on. O_CREAT and O_NOFOLLOW are ours to decide, O_DIRECT would need aligned memory. */
const PASSED_FLAGS: number =
  constants.O_WRONLY | constants.O_RDWR | constants.O_APPEND | constants.O_TRUNC | constants.O_SYNC | constants.O_DSYNC;
const ACCESS_MODE = 3;
/** FUSE_UNKNOWN_INO: programs take an item with inode 0 for a deleted one. */
const UNKNOWN_INODE = 0xffff_ffff;
const DIRECTORY_TYPE = 4;
const NAME_LENGTH = 255;

export class HostDirectory implements FileSystem {
  readonly path: string;
  readonly #access: "read-only" | "writable";
  readonly #nodes: NodeTable;
  readonly #handles: OpenHandles;
  readonly #valid: number;
  readonly #poolReadBytes: number;
  /** Counts resets: a READ in the thread pool looks whether its session is over. */
  #session = 0;

  /** @throws HostDirectoryError when the directory cannot be served, or on another system than Linux. */
  constructor(options: HostDirectoryOptions) {
    const limit = descriptorLimit();
    const paths = options.maxPathDescriptors ?? Math.min(DEFAULT_PATH_DESCRIPTORS, Math.floor(limit / 4));
    this.path = options.path;
    this.#access = options.access ?? "read-only";
    this.#valid = options.validSeconds ?? 1;
    this.#poolReadBytes = options.poolReadBytes ?? Number.POSITIVE_INFINITY;
    this.#handles = new OpenHandles(options.maxOpenHandles ?? Math.floor(limit / 2));
    this.#nodes = new NodeTable(openRoot(options.path), Math.max(paths, LEAST_PATH_DESCRIPTORS));
  }

  /** What is held now, for statistics and tests. */
  get usage(): { nodes: number; pathDescriptors: number; openHandles: number } {
    return {
      nodes: this.#nodes.size,
      pathDescriptors: this.#nodes.openDescriptors,
      openHandles: this.#handles.size,
    };
  }

  reset(): void {
    this.#session++;
    this.#handles.releaseAll();
    this.#nodes.clear();
  }

  /** Lets go of the directory; nothing may be called after this. */
  close(): void {
    this.reset();
    this.#nodes.close();
  }

  lookup(parent: NodeId, name: FileName): Entry {
    return this.#entry(this.#nodes.lookup(this.#nodes.directory(parent, "lookup"), name, "lookup"));
  }

  forget(node: NodeId, count: number): void {
    this.#nodes.forget(node, count);
  }

  getattr(node: NodeId, handle: FileHandle | undefined): { attributes: Attributes; valid: number } {
    const target = this.#nodes.get(node, "getattr");
    const open =
      handle === undefined || target.type !== "file" ? undefined : this.#handles.file(node, handle, "getattr");
    const descriptor = open?.descriptor ?? this.#nodes.descriptor(target, "getattr");
    return { attributes: attributesOf(fstatSync(descriptor, { bigint: true })), valid: this.#valid };
  }

  setattr(
    node: NodeId,
    changes: AttributeChanges,
    handle: FileHandle | undefined,
  ): { attributes: Attributes; valid: number } {
    this.#requireWritable("setattr");
    const target = this.#nodes.get(node, "setattr");
    const open = handle === undefined ? undefined : this.#handles.file(node, handle, "setattr");
    changeAttributes(this.#nodes, target, changes, open);
    return this.getattr(node, handle);
  }

  readlink(node: NodeId): Uint8Array {
    const target = this.#nodes.get(node, "readlink");
    if (target.type !== "symlink") throw new SystemError(Errno.EINVAL, "readlink");
    const { place } = target;
    if (place === undefined || !this.#nodes.isInPlace(target, "readlink")) {
      throw new SystemError(Errno.ESTALE, "readlink", "it was moved or replaced on the host");
    }
    return readlinkSync(this.#nodes.path(place.directory, place.name, "readlink"), { encoding: "buffer" });
  }

  open(node: NodeId, flags: number): OpenResult {
    return { handle: this.#openFile(this.#nodes.get(node, "open"), flags, "open") };
  }

  create(parent: NodeId, name: FileName, mode: number, flags: number): Entry & OpenResult {
    this.#requireWritable("create");
    const directory = this.#nodes.directory(parent, "create");
    this.#handles.requireRoom("create");
    try {
      const made = names.createFile(this.#nodes, directory, name, mode, flags & PASSED_FLAGS & ~constants.O_TRUNC);
      return { ...this.#entry(made), handle: this.#addFile(made.found, made.descriptor) };
    } catch (error) {
      if (!isExisting(error) || (flags & constants.O_EXCL) !== 0) throw error;
    }
    const existing = this.#nodes.lookup(directory, name, "create");
    try {
      const handle = this.#openFile(existing.found, flags, "create");
      return { ...this.#entry(existing), handle };
    } catch (error) {
      this.#nodes.forget(existing.found.node, 1);
      throw error;
    }
  }

  read(node: NodeId, handle: FileHandle, offset: number, targets: readonly Uint8Array[]): number | Promise<number> {
    const open = this.#handles.file(node, handle, "read");
    if (this.#poolReadBytes !== Number.POSITIVE_INFINITY) {
      const wanted = targets.reduce((sum, target) => sum + target.length, 0);
      const session = this.#session;
      const isCurrent = (): boolean => this.#session === session;
      if (wanted >= this.#poolReadBytes) return fileReadPooled(this.#handles, open, offset, targets, isCurrent);
    }
    return fileRead(open.descriptor, offset, targets);
  }

  write(node: NodeId, handle: FileHandle, offset: number, sources: readonly Uint8Array[]): number {
    this.#requireWritable("write");
    return fileWrite(this.#handles.file(node, handle, "write").descriptor, offset, sources);
  }

  fsync(node: NodeId, handle: FileHandle, dataOnly: boolean): Promise<void> {
    return fileSync(this.#handles, this.#handles.file(node, handle, "fsync"), dataOnly ? "data" : "all");
  }

  release(_node: NodeId, handle: FileHandle): void {
    const target = this.#handles.release(handle);
    if (target !== undefined) this.#nodes.unuse(target);
  }

  opendir(node: NodeId): OpenResult {
    const target = this.#nodes.directory(node, "opendir");
    this.#handles.requireRoom("opendir");
    this.#nodes.use(target);
    return { handle: this.#handles.add({ kind: "directory", target, names: [] }) };
  }

  /** Offset n is behind the n-th item of "." and ".." and the names as they were at the start. */
  readdir(
    node: NodeId,
    handle: FileHandle,
    offset: number,
    plus: boolean,
    emit: (item: DirectoryItem) => boolean,
  ): void {
    const open = this.#handles.directory(node, handle, "readdir");
    if (offset === 0) open.names = this.#namesIn(open.target);
    for (let i = offset; i < open.names.length; i++) {
      const { name, type } = open.names[i] ?? { name: new Uint8Array(), type: 0 };
      const item = { name, type, inode: UNKNOWN_INODE, nextOffset: i + 1 };
      if (!plus || i < 2) {
        if (!emit(item)) return;
        continue;
      }
      const found = this.#nodes.glance(open.target, name, "readdir");
      if (found === undefined) continue; // removed since the start
      const entry = this.#entry(found);
      if (emit({ ...item, inode: entry.attributes.inode, entry })) continue;
      this.#nodes.forget(entry.node, 1); // not delivered, not counted
      return;
    }
  }

  releasedir(node: NodeId, handle: FileHandle): void {
    this.release(node, handle);
  }

  mkdir(parent: NodeId, name: FileName, mode: number): Entry {
    const directory = this.#directoryToChange(parent, "mkdir");
    return this.#entry(names.makeDirectory(this.#nodes, directory, name, mode));
  }

  /** Regular files only: Node makes no FIFOs, and a guest must not make devices on the host. */
  mknod(parent: NodeId, name: FileName, mode: number): Entry {
    const directory = this.#directoryToChange(parent, "mknod");
    const type = mode & constants.S_IFMT;
    if (type !== 0 && type !== constants.S_IFREG) throw new SystemError(Errno.EPERM, "mknod");
    const made = names.createFile(this.#nodes, directory, name, mode, constants.O_WRONLY);
    closeSync(made.descriptor);
    return this.#entry(made);
  }

  symlink(parent: NodeId, name: FileName, target: Uint8Array): Entry {
    const directory = this.#directoryToChange(parent, "symlink");
    return this.#entry(names.makeSymlink(this.#nodes, directory, name, target));
  }

  link(node: NodeId, newParent: NodeId, newName: FileName): Entry {
    const directory = this.#directoryToChange(newParent, "link");
    return this.#entry(names.makeLink(this.#nodes, this.#nodes.get(node, "link"), directory, newName));
  }

  unlink(parent: NodeId, name: FileName): void {
    names.removeFile(this.#nodes, this.#directoryToChange(parent, "unlink"), name);
  }

  rmdir(parent: NodeId, name: FileName): void {
    names.removeDirectory(this.#nodes, this.#directoryToChange(parent, "rmdir"), name);
  }

  rename(parent: NodeId, name: FileName, newParent: NodeId, newName: FileName, flags: number): void {
    const from = this.#directoryToChange(parent, "rename");
    const to = this.#directoryToChange(newParent, "rename");
    names.renameName(this.#nodes, from, name, to, newName, flags);
  }

  statfs(node: NodeId): FileSystemStatistics {
    const stat = statfsSync(inodePath(this.#nodes.descriptor(this.#nodes.get(node, "statfs"), "statfs")));
    return {
      blocks: stat.blocks,
      blocksFree: stat.bfree,
      blocksAvailable: stat.bavail,
      files: stat.files,
      filesFree: stat.ffree,
      blockSize: stat.bsize,
      nameLength: NAME_LENGTH,
      fragmentSize: stat.bsize,
    };
  }

  #entry({ found, stat }: Found): Entry {
    const valid = this.#valid;
    const attributes = attributesOf(stat);
    return { node: found.node, generation: 0, attributes, entryValid: valid, attributesValid: valid };
  }

  #openFile(target: HostNode, flags: number, call: string): FileHandle {
    const writes = (flags & ACCESS_MODE) !== constants.O_RDONLY || (flags & constants.O_TRUNC) !== 0;
    if (target.type === "directory") throw new SystemError(Errno.EISDIR, call);
    if (target.type === "symlink") throw new SystemError(Errno.ELOOP, call);
    // Opening those can block for ever, or do something: the guest's kernel serves them itself.
    if (target.type === "special")
      throw new SystemError(Errno.EACCES, call, "FIFOs, sockets and devices are not opened");
    if (writes) this.#requireWritable(call);
    this.#handles.requireRoom(call);
    const path = inodePath(this.#nodes.descriptor(target, call));
    return this.#addFile(target, openSync(path, flags & PASSED_FLAGS));
  }

  #addFile(target: HostNode, descriptor: number): FileHandle {
    this.#nodes.use(target);
    return this.#handles.add({ kind: "file", target, descriptor, running: 0, released: "no" });
  }

  #namesIn(directory: HostNode): { name: Uint8Array; type: number }[] {
    const path = inodePath(this.#nodes.descriptor(directory, "readdir"));
    const entries = readdirSync(path, { encoding: "buffer", withFileTypes: true });
    const dots = [".", ".."].map((name) => ({ name: Buffer.from(name), type: DIRECTORY_TYPE }));
    return [...dots, ...entries.map((entry) => ({ name: entry.name, type: directoryType(entry) }))];
  }

  #directoryToChange(node: NodeId, call: string): HostNode {
    this.#requireWritable(call);
    return this.#nodes.directory(node, call);
  }

  #requireWritable(call: string): void {
    if (this.#access !== "writable") throw new SystemError(Errno.EROFS, call);
  }
}

function isExisting(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EEXIST";
}
