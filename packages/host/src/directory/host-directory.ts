/**
 * A directory of this machine as a FileSystem, confined: no path, link, `..` or special file leads out of it, and on
 * Linux no rename race either (reach.ts says what holds elsewhere). Every name is walked alone. Symbolic links are handed
 * to the guest, which follows them in its own tree. FIFOs, sockets and devices can be looked at, never opened.
 *
 * Calls are synchronous, because a system call on cached data is shorter than a trip to the thread pool; FSYNC goes
 * there, and READ from `poolReadBytes` on.
 */
import { type BigIntStats, closeSync, constants, fstatSync, readdirSync, readlinkSync, statfsSync } from "node:fs";
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
import { attributesOf, directoryType, REGULAR_FILE, TYPE_MASK } from "./host-attributes.ts";
import type { HostNode } from "./host-node.ts";
import * as changes from "./name-changes.ts";
import { NAME_LENGTH } from "./names.ts";
import { type Found, NodeTable } from "./node-table.ts";
import { hostOpenFlags, LinuxOpenFlag, wouldWrite } from "./open-flags.ts";
import { OpenHandles } from "./open-handles.ts";
import { type HostDirectoryOptions, limitsOf, openReach } from "./options.ts";
import type { Confinement } from "./reach.ts";

/** FUSE_UNKNOWN_INO: programs take an item with inode 0 for a deleted one. */
const UNKNOWN_INODE = 0xffff_ffff;
const DIRECTORY_TYPE = 4;

export class HostDirectory implements FileSystem {
  readonly path: string;
  /** How it is confined here. */
  readonly confinement: Confinement;
  readonly #access: "read-only" | "writable";
  readonly #nodes: NodeTable;
  readonly #handles: OpenHandles;
  readonly #valid: number;
  readonly #poolReadBytes: number;
  /** Counts resets: a READ in the thread pool looks whether its session is over. */
  #session = 0;

  /** @throws HostDirectoryError when the directory cannot be served, or not with the confinement that is asked for */
  constructor(options: HostDirectoryOptions) {
    const { pathDescriptors, openHandles } = limitsOf(options);
    const reach = openReach(options, pathDescriptors);
    this.path = options.path;
    this.confinement = reach.confinement;
    this.#access = options.access ?? "read-only";
    this.#valid = options.validSeconds ?? 1;
    this.#poolReadBytes = options.poolReadBytes ?? Number.POSITIVE_INFINITY;
    this.#handles = new OpenHandles(openHandles);
    this.#nodes = new NodeTable(reach);
  }

  /** What is held now, for statistics and tests. */
  get usage(): { nodes: number; pathDescriptors: number; openHandles: number } {
    return {
      nodes: this.#nodes.size,
      pathDescriptors: this.#nodes.reach.openDescriptors,
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
    const stat = open === undefined ? this.#stat(target) : fstatSync(open.descriptor, { bigint: true });
    return { attributes: attributesOf(stat), valid: this.#valid };
  }

  setattr(
    node: NodeId,
    wanted: AttributeChanges,
    handle: FileHandle | undefined,
  ): { attributes: Attributes; valid: number } {
    this.#requireWritable("setattr");
    const target = this.#nodes.get(node, "setattr");
    const open = handle === undefined ? undefined : this.#handles.file(node, handle, "setattr");
    changeAttributes(this.#nodes, target, wanted, open);
    return this.getattr(node, handle);
  }

  readlink(node: NodeId): Uint8Array {
    const target = this.#nodes.get(node, "readlink");
    if (target.type !== "symlink") throw new SystemError(Errno.EINVAL, "readlink");
    return this.#nodes.atPlace(target, "readlink", (path) => readlinkSync(path, { encoding: "buffer" }));
  }

  open(node: NodeId, flags: number): OpenResult {
    return { handle: this.#openFile(this.#nodes.get(node, "open"), flags, "open") };
  }

  create(parent: NodeId, name: FileName, mode: number, flags: number): Entry & OpenResult {
    this.#requireWritable("create");
    const directory = this.#nodes.directory(parent, "create");
    this.#handles.requireRoom("create");
    try {
      const host = hostOpenFlags(flags & ~LinuxOpenFlag.Truncate);
      const made = changes.createFile(this.#nodes, directory, name, mode, host);
      return { ...this.#entry(made), handle: this.#addFile(made.found, made.descriptor) };
    } catch (error) {
      if (!isExisting(error) || (flags & LinuxOpenFlag.Exclusive) !== 0) throw error;
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
    return this.#entry(changes.makeDirectory(this.#nodes, directory, name, mode));
  }

  /** Regular files only: Node makes no FIFOs, and a guest must not make devices on the host. */
  mknod(parent: NodeId, name: FileName, mode: number): Entry {
    const directory = this.#directoryToChange(parent, "mknod");
    const type = mode & TYPE_MASK;
    if (type !== 0 && type !== REGULAR_FILE) throw new SystemError(Errno.EPERM, "mknod");
    const made = changes.createFile(this.#nodes, directory, name, mode, constants.O_WRONLY);
    closeSync(made.descriptor);
    return this.#entry(made);
  }

  symlink(parent: NodeId, name: FileName, target: Uint8Array): Entry {
    const directory = this.#directoryToChange(parent, "symlink");
    return this.#entry(changes.makeSymlink(this.#nodes, directory, name, target));
  }

  link(node: NodeId, newParent: NodeId, newName: FileName): Entry {
    const directory = this.#directoryToChange(newParent, "link");
    return this.#entry(changes.makeLink(this.#nodes, this.#nodes.get(node, "link"), directory, newName));
  }

  unlink(parent: NodeId, name: FileName): void {
    changes.removeFile(this.#nodes, this.#directoryToChange(parent, "unlink"), name);
  }

  rmdir(parent: NodeId, name: FileName): void {
    changes.removeDirectory(this.#nodes, this.#directoryToChange(parent, "rmdir"), name);
  }

  rename(parent: NodeId, name: FileName, newParent: NodeId, newName: FileName, flags: number): void {
    const from = this.#directoryToChange(parent, "rename");
    const to = this.#directoryToChange(newParent, "rename");
    changes.renameName(this.#nodes, from, name, to, newName, flags);
  }

  statfs(node: NodeId): FileSystemStatistics {
    const target = this.#nodes.get(node, "statfs");
    const directory = target.type === "directory" ? target : (target.place?.directory ?? this.#nodes.root);
    const stat = this.#nodes.reach.atDirectory(directory, "statfs", (path) => statfsSync(path));
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

  /** An inode that has no name any more can still be asked about while it is open. */
  #stat(target: HostNode): BigIntStats {
    try {
      return this.#nodes.reach.stat(target, "getattr");
    } catch (error) {
      const open = this.#handles.anyOf(target);
      if (open === undefined) throw error;
      return fstatSync(open.descriptor, { bigint: true });
    }
  }

  #entry({ found, stat }: Found): Entry {
    const valid = this.#valid;
    const attributes = attributesOf(stat);
    return { node: found.node, generation: 0, attributes, entryValid: valid, attributesValid: valid };
  }

  #openFile(target: HostNode, flags: number, call: string): FileHandle {
    if (target.type === "directory") throw new SystemError(Errno.EISDIR, call);
    if (target.type === "symlink") throw new SystemError(Errno.ELOOP, call);
    // Opening those can block for ever, or do something: the guest's kernel serves them itself.
    if (target.type === "special")
      throw new SystemError(Errno.EACCES, call, "FIFOs, sockets and devices are not opened");
    if (wouldWrite(flags)) this.#requireWritable(call);
    this.#handles.requireRoom(call);
    return this.#addFile(target, this.#nodes.reach.open(target, hostOpenFlags(flags), call));
  }

  #addFile(target: HostNode, descriptor: number): FileHandle {
    this.#nodes.use(target);
    return this.#handles.add({ kind: "file", target, descriptor, running: 0, released: "no" });
  }

  #namesIn(directory: HostNode): { name: Uint8Array; type: number }[] {
    const options = { encoding: "buffer", withFileTypes: true } as const;
    const entries = this.#nodes.reach.atDirectory(directory, "readdir", (path) => readdirSync(path, options));
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
