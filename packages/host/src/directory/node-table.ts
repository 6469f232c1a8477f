/**
 * The inodes that the guest knows, and the descriptors that hold them.
 *
 * An inode is known by (device, inode number); its node id is never used again. Each has at most one O_PATH descriptor,
 * of which only so many are open at a time: the one that was not used for longest is closed, and opened again by its
 * name in its directory when it is wanted, and only when that name still leads to the same inode (else ESTALE).
 */
import { type BigIntStats, closeSync, fstatSync, lstatSync, openSync } from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import { type NodeId, ROOT_NODE } from "@toril/virtio-fs/device";
import { type InodeType, typeOf } from "./host-attributes.ts";
import { isName, namePath, OPEN_NAME } from "./linux-path.ts";

export interface HostNode {
  readonly node: NodeId;
  /** Device, inode number and type: a number may be used again for something else while no descriptor holds the inode. */
  readonly identity: string;
  readonly type: InodeType;
  /** Where it was found last; undefined for the root. The directory is kept while something refers to it. */
  place: Place | undefined;
  /** -1: not open. */
  descriptor: number;
  lookups: number;
  /** Open handles, and nodes that were found in it. */
  users: number;
}

export interface Place {
  readonly directory: HostNode;
  readonly name: Uint8Array;
}

export interface Found {
  readonly found: HostNode;
  readonly stat: BigIntStats;
}

export class NodeTable {
  readonly root: HostNode;
  readonly #byNode = new Map<NodeId, HostNode>();
  readonly #byIdentity = new Map<string, HostNode>();
  /** Nodes with a descriptor but the root, the one used last at the end. */
  readonly #open = new Set<HostNode>();
  readonly #limit: number;
  /** Not to be closed now: a call works with its descriptor. */
  #pinned: HostNode | undefined;
  #lastNode: number = ROOT_NODE;

  /** @param root an O_PATH descriptor of the directory; it is this table's from now on. */
  constructor(root: number, limit: number) {
    const stat = fstatSync(root, { bigint: true });
    this.root = {
      node: ROOT_NODE,
      identity: identityOf(stat),
      type: "directory",
      place: undefined,
      descriptor: root,
      lookups: 0,
      users: 0,
    };
    this.#limit = limit;
    this.#byNode.set(ROOT_NODE, this.root);
    this.#byIdentity.set(this.root.identity, this.root);
  }

  /** Descriptors that are open for nodes, the root's included. */
  get openDescriptors(): number {
    return this.#open.size + 1;
  }

  get size(): number {
    return this.#byNode.size;
  }

  /** @throws SystemError ESTALE */
  get(node: NodeId, call: string): HostNode {
    const found = this.#byNode.get(node);
    if (found === undefined) throw new SystemError(Errno.ESTALE, call, `node ${node}`);
    return found;
  }

  /** @throws SystemError ESTALE, ENOTDIR */
  directory(node: NodeId, call: string): HostNode {
    const found = this.get(node, call);
    if (found.type !== "directory") throw new SystemError(Errno.ENOTDIR, call);
    return found;
  }

  /**
   * The inode that a name leads to now; counts a lookup. It is held from now on, so that its number is not used again.
   * @throws Error with the host's errno name as its code
   */
  lookup(directory: HostNode, name: Uint8Array, call: string): Found {
    const path = this.path(directory, name, call);
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) throw new SystemError(Errno.ENOENT, call);
    if (this.#byIdentity.has(identityOf(stat))) return this.#record(stat, directory, name);
    return this.adopt(openSync(path, OPEN_NAME), directory, name);
  }

  /** The same without holding it, for directories full of names; `undefined` when it is gone. */
  glance(directory: HostNode, name: Uint8Array, call: string): Found | undefined {
    const path = this.path(directory, name, call);
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? undefined : this.#record(stat, directory, name);
  }

  /** The same for an O_PATH descriptor of that name, which is this table's from now on. */
  adopt(descriptor: number, directory: HostNode, name: Uint8Array): Found {
    const found = this.#record(fstatSync(descriptor, { bigint: true }), directory, name);
    if (found.found.descriptor === -1) this.#hold(found.found, descriptor);
    else closeSync(descriptor);
    return found;
  }

  /** Finds or makes the node of an inode, and counts a lookup. */
  #record(stat: BigIntStats, directory: HostNode, name: Uint8Array): Found {
    const identity = identityOf(stat);
    let found = this.#byIdentity.get(identity);
    if (found === undefined) {
      const node = ++this.#lastNode as NodeId;
      found = { node, identity, type: typeOf(stat), place: undefined, descriptor: -1, lookups: 0, users: 0 };
      this.#byNode.set(node, found);
      this.#byIdentity.set(identity, found);
    }
    found.lookups++;
    if (found !== this.root) this.#setPlace(found, directory, name);
    return { found, stat };
  }

  /** An inode has another name now (RENAME), if the guest knows it. */
  moved(directory: HostNode, name: Uint8Array): void {
    const path = this.path(directory, name, "rename");
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    const known = stat === undefined ? undefined : this.#byIdentity.get(identityOf(stat));
    if (known !== undefined && known !== this.root) this.#setPlace(known, directory, name);
  }

  /**
   * The path of a name in a directory that is known; valid within this call only.
   * @throws SystemError EINVAL for what is no name; ESTALE
   */
  path(directory: HostNode, name: Uint8Array, call: string): Buffer {
    if (!isName(name)) throw new SystemError(Errno.EINVAL, call);
    return namePath(this.descriptor(directory, call), name);
  }

  /** The same for a name in each of two directories. */
  paths(from: HostNode, name: Uint8Array, to: HostNode, newName: Uint8Array, call: string): [Buffer, Buffer] {
    const first = this.path(from, name, call);
    this.#pinned = from;
    try {
      return [first, this.path(to, newName, call)];
    } finally {
      this.#pinned = undefined;
    }
  }

  /**
   * An O_PATH descriptor that holds the inode; valid within this call only.
   * @throws SystemError ESTALE when it is not where it was found
   */
  descriptor(wanted: HostNode, call: string): number {
    if (wanted === this.root) return wanted.descriptor;
    if (wanted.descriptor !== -1) {
      this.#open.delete(wanted);
      this.#open.add(wanted);
      return wanted.descriptor;
    }
    // Down from the nearest ancestor that is open. A loop, not a recursion: a guest decides how deep it gets.
    const way: HostNode[] = [];
    let at: HostNode = wanted;
    while (at.descriptor === -1) {
      way.push(at);
      if (at.place === undefined) throw new SystemError(Errno.ESTALE, call);
      at = at.place.directory;
    }
    for (const step of way.reverse()) this.#reopen(step, call);
    return wanted.descriptor;
  }

  /** Whether the place where an inode was found last still leads to it. */
  isInPlace(known: HostNode, call: string): boolean {
    if (known.place === undefined) return known === this.root;
    const path = this.path(known.place.directory, known.place.name, call);
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return stat !== undefined && identityOf(stat) === known.identity;
  }

  forget(node: NodeId, count: number): void {
    const known = this.#byNode.get(node);
    if (known === undefined) return;
    known.lookups = Math.max(0, known.lookups - count);
    this.#collect(known);
  }

  use(known: HostNode): void {
    known.users++;
  }

  unuse(known: HostNode): void {
    known.users--;
    this.#collect(known);
  }

  /** Forgets everything but the root. */
  clear(): void {
    for (const known of this.#open) closeSync(known.descriptor);
    this.#open.clear();
    for (const known of this.#byNode.values()) {
      if (known !== this.root) known.descriptor = -1;
    }
    this.#byNode.clear();
    this.#byIdentity.clear();
    this.root.lookups = 0;
    this.root.users = 0;
    this.#byNode.set(ROOT_NODE, this.root);
    this.#byIdentity.set(this.root.identity, this.root);
  }

  /** Nothing may be done after this. */
  close(): void {
    this.clear();
    closeSync(this.root.descriptor);
    this.root.descriptor = -1;
    this.#byNode.clear();
  }

  #setPlace(known: HostNode, directory: HostNode, name: Uint8Array): void {
    const before = known.place;
    if (before?.directory === directory && Buffer.compare(before.name, name) === 0) return;
    // A host that moves a directory into its own child while we look could make a loop of places.
    for (let at: HostNode | undefined = directory; at !== undefined; at = at.place?.directory) {
      if (at === known) return;
    }
    directory.users++;
    known.place = { directory, name: Uint8Array.from(name) };
    if (before !== undefined) this.unuse(before.directory);
  }

  #reopen(step: HostNode, call: string): void {
    if (step.place === undefined) throw new SystemError(Errno.ESTALE, call);
    const { directory, name } = step.place;
    const descriptor = openOrStale(namePath(directory.descriptor, name), call);
    if (identityOf(fstatSync(descriptor, { bigint: true })) !== step.identity) {
      closeSync(descriptor);
      throw new SystemError(Errno.ESTALE, call, "it was moved or replaced on the host");
    }
    this.#hold(step, descriptor);
  }

  #hold(known: HostNode, descriptor: number): void {
    known.descriptor = descriptor;
    this.#open.add(known);
    for (const oldest of this.#open) {
      if (this.#open.size <= this.#limit) return;
      if (oldest !== this.#pinned && oldest !== known) this.#letGo(oldest);
    }
  }

  #letGo(known: HostNode): void {
    if (!this.#open.delete(known)) return;
    closeSync(known.descriptor);
    known.descriptor = -1;
  }

  #collect(known: HostNode): void {
    let at: HostNode | undefined = known;
    while (at !== undefined && at !== this.root && at.lookups === 0 && at.users === 0) {
      this.#letGo(at);
      this.#byNode.delete(at.node);
      if (this.#byIdentity.get(at.identity) === at) this.#byIdentity.delete(at.identity);
      const above: HostNode | undefined = at.place?.directory;
      at.place = undefined;
      if (above !== undefined) above.users--;
      at = above;
    }
  }
}

export function identityOf(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}:${typeOf(stat)}`;
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
