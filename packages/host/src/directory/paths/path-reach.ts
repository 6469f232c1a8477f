/**
 * Everywhere: an inode is reached by its path, from the root's real path on. Before a call, each directory on the way is
 * looked at with lstat and must be the inode that it was when the guest found it; so a link is never followed that was
 * there before the call. After the call the same is looked at again: a call in between which the way led elsewhere
 * fails with ESTALE, and what it found is thrown away.
 *
 * Looking also compares when the directories were changed last, so that a swap there and back between the two looks is
 * found out as well, as far as the file system tells two moments apart (on Linux it may be 4 ms, elsewhere much less).
 * What is then opened is compared by inode; a file is never truncated or changed before that. Making, moving and removing
 * a name goes by inodes alone: it is done by the time it could be found out, and a change that another program made
 * nearby must not make a call fail that worked.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  futimesSync,
  lstatSync,
  openSync,
  realpathSync,
} from "node:fs";
import { toNamespacedPath } from "node:path";
import { platform } from "node:process";
import { Errno, SystemError } from "@toril/virtio/platform";
import { ROOT_NODE } from "@toril/virtio-fs/device";
import { type HostNode, identityOf } from "../host-node.ts";
import { requireName } from "../names.ts";
import type { InodeChange, Reach } from "../reach.ts";
import { openingRoot, requireReadableDirectory } from "../root.ts";
import { nameRules } from "./name-rules.ts";

/** How often something is looked at that other programs are changing. */
const LOOKS = 4;
/** What a swap put there must neither be followed, nor make us wait (a FIFO), nor become our terminal. Windows has none of it. */
const CAREFULLY: number = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);

/** A directory whose whole way was in order. */
interface Way {
  readonly path: Buffer;
  /** When each directory above it was changed last: a swap changes the one that holds the name. */
  readonly changed: readonly bigint[];
}

export class PathReach implements Reach {
  readonly confinement = "paths";
  readonly openDescriptors = 0;
  readonly rootStat: BigIntStats;
  readonly #rootPath: Buffer;
  readonly #rules = nameRules(platform);
  #closed: "no" | "yes" = "no";

  /** @throws HostDirectoryError */
  constructor(path: string) {
    this.#rootPath = openingRoot(path, () => {
      const real = realpathSync.native(path, { encoding: "utf8" });
      const found = platform === "win32" ? Buffer.from(toNamespacedPath(real)) : realpathSync.native(path, "buffer");
      requireReadableDirectory(path, found);
      return found;
    });
    this.rootStat = lstatSync(this.#rootPath, { bigint: true });
  }

  glance(directory: HostNode, name: Uint8Array, call: string): BigIntStats | undefined {
    requireName(name, call);
    if (!this.#rules.allows(name)) return undefined;
    return this.#look(directory, call, (path) => statOf(this.#join(path, name)));
  }

  /** There is nothing to hold an inode with that every system has: only its place is checked. */
  hold(node: HostNode, call: string): void {
    this.stat(node, call);
  }

  letGo(): void {}

  stat(node: HostNode, call: string): BigIntStats {
    const { place } = node;
    if (place === undefined) return this.#look(node, call, (path) => this.#same(statOf(path), node, call));
    return this.#look(place.directory, call, (path) => this.#same(statOf(this.#join(path, place.name)), node, call));
  }

  open(file: HostNode, flags: number, call: string): number {
    const descriptor = this.#open(file, flags & ~constants.O_TRUNC, call);
    if ((flags & constants.O_TRUNC) === 0) return descriptor;
    try {
      if ((flags & (constants.O_WRONLY | constants.O_RDWR)) === 0) this.change(file, { what: "size", size: 0 }, call);
      else ftruncateSync(descriptor, 0);
      return descriptor;
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  atDirectory<T>(directory: HostNode, call: string, look: (path: Buffer) => T): T {
    return this.#look(directory, call, look);
  }

  atName<T>(directory: HostNode, name: Uint8Array, call: string, use: (path: Buffer) => T): T {
    const path = this.#nameToUse(directory, name, call);
    const result = use(path);
    this.#walk(directory, call);
    return result;
  }

  atNames<T>(
    from: HostNode,
    name: Uint8Array,
    to: HostNode,
    newName: Uint8Array,
    call: string,
    use: (path: Buffer, newPath: Buffer) => T,
  ): T {
    const result = use(this.#nameToUse(from, name, call), this.#nameToUse(to, newName, call));
    this.#walk(from, call);
    this.#walk(to, call);
    return result;
  }

  /** Through a descriptor that is known to be of this inode: a path could be swapped for a link at the last moment. */
  change(node: HostNode, change: InodeChange, call: string): void {
    if (node.type !== "file" && node.type !== "directory") {
      throw new SystemError(Errno.EPERM, call, "FIFOs, sockets and devices are not opened");
    }
    const descriptor = this.#openToChange(node, change, call);
    try {
      changeOpen(descriptor, change);
    } finally {
      closeSync(descriptor);
    }
  }

  close(): void {
    this.#closed = "yes";
  }

  #openToChange(node: HostNode, change: InodeChange, call: string): number {
    if (change.what === "size") return this.#open(node, constants.O_WRONLY, call);
    // Windows changes no attribute through a descriptor for reading.
    if (platform === "win32" && node.type === "file") return this.#open(node, constants.O_RDWR, call);
    try {
      return this.#open(node, constants.O_RDONLY, call);
    } catch (error) {
      // A file that its owner may not read may still be one to write.
      if (node.type !== "file" || (error as NodeJS.ErrnoException).code !== "EACCES") throw error;
      return this.#open(node, constants.O_WRONLY, call);
    }
  }

  /** Opens what is this inode before the call and after it. @throws SystemError ESTALE */
  #open(node: HostNode, flags: number, call: string): number {
    const { place } = node;
    const open = (path: Buffer): number => {
      this.#same(statOf(path), node, call);
      const descriptor = openOrStale(path, flags | CAREFULLY, call);
      try {
        this.#same(fstatSync(descriptor, { bigint: true }), node, call);
        return descriptor;
      } catch (error) {
        closeSync(descriptor);
        throw error;
      }
    };
    if (place === undefined) return this.#look(node, call, open, closeSync);
    return this.#look(place.directory, call, (path) => open(this.#join(path, place.name)), closeSync);
  }

  #nameToUse(directory: HostNode, name: Uint8Array, call: string): Buffer {
    requireName(name, call);
    if (!this.#rules.allows(name)) throw new SystemError(Errno.EINVAL, call, "not a name on this system");
    return this.#join(this.#walk(directory, call).path, name);
  }

  /**
   * Looks at something while nothing on the way to its directory changes; again when something did.
   * @param undo what becomes of a result that cannot be believed
   */
  #look<T>(directory: HostNode, call: string, look: (path: Buffer) => T, undo?: (result: T) => void): T {
    for (let attempt = 0; attempt < LOOKS; attempt++) {
      const before = this.#walk(directory, call);
      const result = look(before.path);
      try {
        if (isUnchanged(before, this.#walk(directory, call))) return result;
      } catch (error) {
        undo?.(result);
        throw error;
      }
      undo?.(result);
    }
    throw new SystemError(Errno.ESTALE, call, "its directory keeps changing on the host");
  }

  /** Goes down to a directory, one name at a time. @throws SystemError ESTALE when one is not what it was */
  #walk(directory: HostNode, call: string): Way {
    if (this.#closed === "yes") throw new SystemError(Errno.ESTALE, call, "the directory is closed");
    const places: { readonly step: HostNode; readonly name: Uint8Array }[] = [];
    let at = directory;
    for (; at.place !== undefined; at = at.place.directory) places.push({ step: at, name: at.place.name });
    // The root, or what was found in a place that cannot be.
    if (at.node !== ROOT_NODE) throw new SystemError(Errno.ESTALE, call);
    let path = this.#rootPath;
    let stat = this.#same(statOf(path), at, call);
    const changed: bigint[] = [];
    for (const { step, name } of places.reverse()) {
      changed.push(stat.ctimeNs);
      path = this.#join(path, name);
      stat = this.#same(statOf(path), step, call);
    }
    return { path, changed };
  }

  #same(stat: BigIntStats | undefined, node: HostNode, call: string): BigIntStats {
    if (stat !== undefined && identityOf(stat) === node.identity) return stat;
    throw new SystemError(Errno.ESTALE, call, "it was moved or replaced on the host");
  }

  #join(directory: Buffer, name: Uint8Array): Buffer {
    const { separator } = this.#rules;
    // The root of a file system ends with one.
    return Buffer.concat([directory, directory.at(-1) === separator ? name : Buffer.of(separator, ...name)]);
  }
}

/** What is under a path itself: a link is a link. */
function statOf(path: Buffer): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

function isUnchanged(before: Way, after: Way): boolean {
  return before.changed.every((time, i) => time === after.changed[i]);
}

function changeOpen(descriptor: number, change: InodeChange): void {
  switch (change.what) {
    case "mode":
      fchmodSync(descriptor, change.mode);
      break;
    case "owner":
      fchownSync(descriptor, change.uid, change.gid);
      break;
    case "size":
      ftruncateSync(descriptor, change.size);
      break;
    case "times":
      futimesSync(descriptor, change.atime, change.mtime);
      break;
  }
}

/** What a swap can make open(2) say, by system: it is gone, a link, a FIFO without a reader, a socket. */
const SWAPPED: ReadonlySet<string> = new Set([
  "ENOENT",
  "ENOTDIR",
  "ELOOP",
  "EMLINK",
  "ENXIO",
  "EOPNOTSUPP",
  "ENOTSUP",
]);

function openOrStale(path: Buffer, flags: number, call: string): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || !SWAPPED.has(code)) throw error;
    throw new SystemError(Errno.ESTALE, call, "it was moved or replaced on the host");
  }
}
