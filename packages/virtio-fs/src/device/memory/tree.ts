/**
 * The tree of inodes: which name leads where, and how long an inode lives. An inode without names lives on while a
 * guest knows it (lookups) or has it open.
 */
import { Errno, SystemError } from "@toril/virtio/platform";
import { type NodeId, ROOT_NODE, type Timestamp } from "../file-system.ts";
import {
  type DirectoryInode,
  FileMode,
  type InodeContent,
  isDirectory,
  isFile,
  type MemoryInode,
  nameKey,
} from "./inode.ts";

export interface NewInode {
  readonly content: InodeContent;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev?: number;
}

export class Tree {
  readonly root: DirectoryInode;
  readonly #inodes = new Map<NodeId, MemoryInode>();
  readonly #maxInodes: number;
  readonly #now: () => Timestamp;
  // Ids are never used again, so that a generation is not needed.
  #lastNode: number = ROOT_NODE;

  constructor(maxInodes: number, now: () => Timestamp) {
    this.#maxInodes = maxInodes;
    this.#now = now;
    const content = { kind: "directory", names: new Map<string, MemoryInode>(), parent: undefined } as const;
    const time = now();
    this.root = {
      node: ROOT_NODE,
      content,
      mode: FileMode.Directory | 0o755,
      links: 2,
      uid: 0,
      gid: 0,
      rdev: 0,
      atime: time,
      mtime: time,
      ctime: time,
      lookups: 0,
      opens: 0,
    };
    this.#inodes.set(ROOT_NODE, this.root);
  }

  get inodeCount(): number {
    return this.#inodes.size;
  }

  /** @throws SystemError ESTALE */
  inode(node: NodeId, call: string): MemoryInode {
    const inode = this.#inodes.get(node);
    if (inode === undefined) throw new SystemError(Errno.ESTALE, call, `node ${node}`);
    return inode;
  }

  find(node: NodeId): MemoryInode | undefined {
    return this.#inodes.get(node);
  }

  /** @throws SystemError ESTALE, ENOTDIR */
  directory(node: NodeId, call: string): DirectoryInode {
    const inode = this.inode(node, call);
    if (!isDirectory(inode)) throw new SystemError(Errno.ENOTDIR, call);
    return inode;
  }

  /** @throws SystemError ENOENT */
  child(directory: DirectoryInode, name: Uint8Array, call: string): MemoryInode {
    const inode = directory.content.names.get(nameKey(name));
    if (inode === undefined) throw new SystemError(Errno.ENOENT, call);
    return inode;
  }

  /**
   * A new inode under a new name.
   * @throws SystemError EEXIST, ENOENT when the directory was removed, ENOSPC
   */
  add(directory: DirectoryInode, name: Uint8Array, made: NewInode, call: string): MemoryInode {
    this.#requireFree(directory, name, call);
    if (this.#inodes.size >= this.#maxInodes) throw new SystemError(Errno.ENOSPC, call, "no inode is left");
    const inherits = (directory.mode & FileMode.SetGid) !== 0;
    const isDirectoryToo = made.content.kind === "directory";
    const time = this.#now();
    const inode: MemoryInode = {
      node: ++this.#lastNode as NodeId,
      content: made.content,
      mode: made.mode | (inherits && isDirectoryToo ? FileMode.SetGid : 0),
      links: isDirectoryToo ? 1 : 0, // its own "."
      uid: made.uid,
      gid: inherits ? directory.gid : made.gid,
      rdev: made.rdev ?? 0,
      atime: time,
      mtime: time,
      ctime: time,
      lookups: 0,
      opens: 0,
    };
    this.#inodes.set(inode.node, inode);
    this.#attach(directory, nameKey(name), inode);
    return inode;
  }

  /** @throws SystemError EEXIST, EPERM for a directory, ENOENT when its last name is gone already */
  link(inode: MemoryInode, directory: DirectoryInode, name: Uint8Array): void {
    if (isDirectory(inode)) throw new SystemError(Errno.EPERM, "link", "a directory has one name");
    if (inode.links === 0) throw new SystemError(Errno.ENOENT, "link");
    this.#requireFree(directory, name, "link");
    this.#attach(directory, nameKey(name), inode);
  }

  /** @throws SystemError ENOENT, EISDIR */
  unlink(directory: DirectoryInode, name: Uint8Array): void {
    const inode = this.child(directory, name, "unlink");
    if (isDirectory(inode)) throw new SystemError(Errno.EISDIR, "unlink");
    this.#detach(directory, nameKey(name), inode);
    this.collect(inode);
  }

  /** @throws SystemError ENOENT, ENOTDIR, ENOTEMPTY */
  rmdir(directory: DirectoryInode, name: Uint8Array): void {
    const inode = this.child(directory, name, "rmdir");
    if (!isDirectory(inode)) throw new SystemError(Errno.ENOTDIR, "rmdir");
    this.#removeDirectory(directory, nameKey(name), inode, "rmdir");
  }

  /** rename(2). @throws SystemError as it says */
  rename(from: DirectoryInode, name: Uint8Array, to: DirectoryInode, newName: Uint8Array, mode: RenameMode): void {
    const inode = this.child(from, name, "rename");
    const target = to.content.names.get(nameKey(newName));
    if (to.links === 0) throw new SystemError(Errno.ENOENT, "rename");
    if (mode === "exchange") {
      this.#exchange(from, nameKey(name), inode, to, nameKey(newName), this.child(to, newName, "rename"));
      return;
    }
    if (target !== undefined && mode === "no-replace") throw new SystemError(Errno.EEXIST, "rename");
    if (target === inode) return; // two names of one file: rename(2) does nothing
    this.#requireOutside(to, inode);
    if (target !== undefined) this.#removeTarget(to, nameKey(newName), target, inode);
    this.#detach(from, nameKey(name), inode);
    this.#attach(to, nameKey(newName), inode);
  }

  /** Lets go of an inode that has no names and that nobody uses. */
  collect(inode: MemoryInode): void {
    if (inode.links > 0 || inode.opens > 0 || inode.lookups > 0) return;
    if (isFile(inode)) inode.content.data.free();
    this.#inodes.delete(inode.node);
  }

  /** Nobody knows or uses any inode any more. */
  dropUses(): void {
    for (const inode of [...this.#inodes.values()]) {
      inode.lookups = 0;
      inode.opens = 0;
      this.collect(inode);
    }
  }

  #exchange(
    from: DirectoryInode,
    key: string,
    inode: MemoryInode,
    to: DirectoryInode,
    newKey: string,
    target: MemoryInode,
  ): void {
    if (target === inode) return;
    this.#requireOutside(to, inode);
    this.#requireOutside(from, target);
    this.#detach(from, key, inode);
    this.#detach(to, newKey, target);
    this.#attach(to, newKey, inode);
    this.#attach(from, key, target);
  }

  #removeTarget(directory: DirectoryInode, key: string, target: MemoryInode, by: MemoryInode): void {
    if (isDirectory(target)) {
      if (!isDirectory(by)) throw new SystemError(Errno.EISDIR, "rename");
      this.#removeDirectory(directory, key, target, "rename");
      return;
    }
    if (isDirectory(by)) throw new SystemError(Errno.ENOTDIR, "rename");
    this.#detach(directory, key, target);
    this.collect(target);
  }

  #removeDirectory(parent: DirectoryInode, key: string, directory: DirectoryInode, call: string): void {
    if (directory.content.names.size > 0) throw new SystemError(Errno.ENOTEMPTY, call);
    this.#detach(parent, key, directory);
    directory.links--; // its own "."
    this.collect(directory);
  }

  /** A directory cannot move into itself. */
  #requireOutside(directory: DirectoryInode, moved: MemoryInode): void {
    for (let at: MemoryInode | undefined = directory; at !== undefined && isDirectory(at); at = at.content.parent) {
      if (at === moved) throw new SystemError(Errno.EINVAL, "rename", "a directory cannot move into itself");
    }
  }

  #requireFree(directory: DirectoryInode, name: Uint8Array, call: string): void {
    if (directory.content.names.has(nameKey(name))) throw new SystemError(Errno.EEXIST, call);
    if (directory.links === 0) throw new SystemError(Errno.ENOENT, call, "the directory was removed");
  }

  #attach(directory: DirectoryInode, key: string, inode: MemoryInode): void {
    directory.content.names.set(key, inode);
    inode.links++;
    if (isDirectory(inode)) {
      inode.content.parent = directory;
      directory.links++; // the child's ".."
    }
    this.#touched(directory, inode);
  }

  #detach(directory: DirectoryInode, key: string, inode: MemoryInode): void {
    directory.content.names.delete(key);
    inode.links--;
    if (isDirectory(inode)) {
      inode.content.parent = undefined;
      directory.links--;
    }
    this.#touched(directory, inode);
  }

  /** The inode's data changed just now. */
  modified(inode: MemoryInode): void {
    const time = this.#now();
    inode.mtime = time;
    inode.ctime = time;
  }

  #touched(directory: DirectoryInode, inode: MemoryInode): void {
    const time = this.#now();
    directory.mtime = time;
    directory.ctime = time;
    inode.ctime = time;
  }
}

export type RenameMode = "replace" | "no-replace" | "exchange";
