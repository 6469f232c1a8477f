/**
 * Linux: each inode is held by an O_PATH descriptor and reached through `/proc/self/fd` (linux-path.ts). Only so many are
 * open at a time: the one that was not used for longest is closed, and opened again by its name in its directory when it
 * is wanted, and only when that name still leads to the same inode (else ESTALE).
 */
import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  truncateSync,
  utimesSync,
} from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import { ROOT_NODE } from "@toril/virtio-fs/device";
import { HostDirectoryError } from "../host-directory-error.ts";
import { type HostNode, identityOf } from "../host-node.ts";
import { requireName } from "../names.ts";
import type { InodeChange, Reach } from "../reach.ts";
import { bestConfinement, openingRoot, requireReadableDirectory } from "../root.ts";
import { inodePath, namePath, OPEN_INODE, OPEN_NAME } from "./linux-path.ts";

export class DescriptorReach implements Reach {
  readonly confinement = "descriptors";
  readonly rootStat: BigIntStats;
  /** -1 after a close. */
  #root: number;
  /** Of nodes but the root, the one used last at the end. */
  readonly #descriptors = new Map<HostNode, number>();
  readonly #limit: number;
  /** Not to be closed now: a call works with its descriptor. */
  #pinned: HostNode | undefined;

  /**
   * @param limit descriptors beside the root's
   * @throws HostDirectoryError
   */
  constructor(path: string, limit: number) {
    this.#limit = limit;
    this.#root = openRoot(path);
    this.rootStat = fstatSync(this.#root, { bigint: true });
  }

  get openDescriptors(): number {
    return this.#descriptors.size + (this.#root === -1 ? 0 : 1);
  }

  glance(directory: HostNode, name: Uint8Array, call: string): BigIntStats | undefined {
    return lstatSync(this.#path(directory, name, call), { bigint: true, throwIfNoEntry: false });
  }

  hold(node: HostNode, call: string, open?: number): void {
    if (open === undefined || this.#descriptors.has(node)) this.#descriptor(node, call);
    else this.#keep(node, openSync(inodePath(open), OPEN_INODE));
  }

  letGo(node: HostNode): void {
    const descriptor = this.#descriptors.get(node);
    if (descriptor === undefined) return;
    this.#descriptors.delete(node);
    closeSync(descriptor);
  }

  stat(node: HostNode, call: string): BigIntStats {
    return fstatSync(this.#descriptor(node, call), { bigint: true });
  }

  open(file: HostNode, flags: number, call: string): number {
    return openSync(inodePath(this.#descriptor(file, call)), flags);
  }

  atDirectory<T>(directory: HostNode, call: string, look: (path: Buffer) => T): T {
    return look(inodePath(this.#descriptor(directory, call)));
  }

  atName<T>(directory: HostNode, name: Uint8Array, call: string, use: (path: Buffer) => T): T {
    return use(this.#path(directory, name, call));
  }

  atNames<T>(
    from: HostNode,
    name: Uint8Array,
    to: HostNode,
    newName: Uint8Array,
    call: string,
    use: (path: Buffer, newPath: Buffer) => T,
  ): T {
    const path = this.#path(from, name, call);
    this.#pinned = from;
    try {
      return use(path, this.#path(to, newName, call));
    } finally {
      this.#pinned = undefined;
    }
  }

  change(node: HostNode, change: InodeChange, call: string): void {
    const path = inodePath(this.#descriptor(node, call));
    switch (change.what) {
      case "mode":
        chmodSync(path, change.mode);
        break;
      case "owner":
        chownSync(path, change.uid, change.gid);
        break;
      case "size":
        truncateSync(path, change.size);
        break;
      case "times":
        utimesSync(path, change.atime, change.mtime);
        break;
    }
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
    this.#descriptors.clear();
    if (this.#root !== -1) closeSync(this.#root);
    this.#root = -1;
  }

  /** The path of a name; valid within this call only. */
  #path(directory: HostNode, name: Uint8Array, call: string): Buffer {
    requireName(name, call);
    return namePath(this.#descriptor(directory, call), name);
  }

  /** An O_PATH descriptor that holds the inode; valid within this call only. */
  #descriptor(wanted: HostNode, call: string): number {
    const open = this.#opened(wanted);
    if (open !== undefined) return open;
    // Down from the nearest ancestor that is open. A loop, not a recursion: a guest decides how deep it gets.
    const way: HostNode[] = [];
    let at = wanted;
    let descriptor: number | undefined;
    while (descriptor === undefined) {
      way.push(at);
      if (at.place === undefined) throw new SystemError(Errno.ESTALE, call);
      at = at.place.directory;
      descriptor = this.#opened(at);
    }
    for (const step of way.reverse()) descriptor = this.#reopen(step, descriptor, call);
    return descriptor;
  }

  /** Its descriptor, which becomes the one used last. */
  #opened(node: HostNode): number | undefined {
    if (node.node === ROOT_NODE) return this.#root === -1 ? undefined : this.#root;
    const descriptor = this.#descriptors.get(node);
    if (descriptor === undefined) return undefined;
    this.#descriptors.delete(node);
    this.#descriptors.set(node, descriptor);
    return descriptor;
  }

  #reopen(step: HostNode, directory: number, call: string): number {
    if (step.place === undefined) throw new SystemError(Errno.ESTALE, call);
    const descriptor = openOrStale(namePath(directory, step.place.name), call);
    if (identityOf(fstatSync(descriptor, { bigint: true })) !== step.identity) {
      closeSync(descriptor);
      throw new SystemError(Errno.ESTALE, call, "it was moved or replaced on the host");
    }
    this.#keep(step, descriptor);
    return descriptor;
  }

  #keep(node: HostNode, descriptor: number): void {
    this.#descriptors.set(node, descriptor);
    for (const oldest of this.#descriptors.keys()) {
      if (this.#descriptors.size <= this.#limit) return;
      if (oldest !== this.#pinned && oldest !== node) this.letGo(oldest);
    }
  }
}

function openRoot(path: string): number {
  if (bestConfinement() !== "descriptors") {
    throw new HostDirectoryError(
      "ERR_PLATFORM",
      `cannot serve "${path}" with confinement "descriptors": that takes Linux' /proc/self/fd; use "paths", which guarantees less`,
    );
  }
  return openingRoot(path, () => {
    const descriptor = openSync(path, OPEN_INODE);
    try {
      requireReadableDirectory(path, inodePath(descriptor));
      return descriptor;
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  });
}

function openOrStale(path: Buffer, call: string): number {
  try {
    return openSync(path, OPEN_NAME);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") throw new SystemError(Errno.ESTALE, call, "it is gone from the host");
    throw error;
  }
}
