/**
 * The inodes that the guest knows. An inode is known by (device, inode number); its node id is never used again. How it
 * is reached on the host is the Reach's business.
 */
import type { BigIntStats } from "node:fs";
import { Errno, SystemError } from "@toril/virtio/platform";
import { type NodeId, ROOT_NODE } from "@toril/virtio-fs/device";
import { typeOf } from "./host-attributes.ts";
import { type HostNode, identityOf } from "./host-node.ts";
import type { Reach } from "./reach.ts";

export interface Found {
  readonly found: HostNode;
  readonly stat: BigIntStats;
}

/** How often a name that changes while it is looked up is looked up again. */
const LOOKUP_ATTEMPTS = 4;

export class NodeTable {
  readonly reach: Reach;
  readonly root: HostNode;
  readonly #byNode = new Map<NodeId, HostNode>();
  readonly #byIdentity = new Map<string, HostNode>();
  #lastNode: number = ROOT_NODE;

  constructor(reach: Reach) {
    this.reach = reach;
    const identity = identityOf(reach.rootStat);
    this.root = { node: ROOT_NODE, identity, type: "directory", place: undefined, lookups: 0, users: 0 };
    this.#byNode.set(ROOT_NODE, this.root);
    this.#byIdentity.set(this.root.identity, this.root);
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
    for (let attempt = 1; ; attempt++) {
      const stat = this.reach.glance(directory, name, call);
      if (stat === undefined) throw new SystemError(Errno.ENOENT, call);
      if (this.#byIdentity.has(identityOf(stat))) return this.#record(stat, directory, name);
      try {
        return this.#hold(stat, directory, name, call, undefined);
      } catch (error) {
        // The host put something else there between the two looks.
        if (!isStale(error) || attempt === LOOKUP_ATTEMPTS) throw error;
      }
    }
  }

  /** The same without holding it, for directories full of names; `undefined` when it is gone. */
  glance(directory: HostNode, name: Uint8Array, call: string): Found | undefined {
    const stat = this.reach.glance(directory, name, call);
    return stat === undefined ? undefined : this.#record(stat, directory, name);
  }

  /** The same for what was just made there and is open. */
  adopt(stat: BigIntStats, directory: HostNode, name: Uint8Array, call: string, open: number): Found {
    return this.#hold(stat, directory, name, call, open);
  }

  #hold(stat: BigIntStats, directory: HostNode, name: Uint8Array, call: string, open: number | undefined): Found {
    const found = this.#record(stat, directory, name);
    try {
      this.reach.hold(found.found, call, open);
      return found;
    } catch (error) {
      this.forget(found.found.node, 1);
      throw error;
    }
  }

  /** Finds or makes the node of an inode, and counts a lookup. */
  #record(stat: BigIntStats, directory: HostNode, name: Uint8Array): Found {
    const identity = identityOf(stat);
    let found = this.#byIdentity.get(identity);
    if (found === undefined) {
      const node = ++this.#lastNode as NodeId;
      found = { node, identity, type: typeOf(stat), place: undefined, lookups: 0, users: 0 };
      this.#byNode.set(node, found);
      this.#byIdentity.set(identity, found);
    }
    found.lookups++;
    if (found !== this.root) this.#setPlace(found, directory, name);
    return { found, stat };
  }

  /** An inode has another name now (RENAME), if the guest knows it. */
  moved(directory: HostNode, name: Uint8Array): void {
    const stat = this.reach.glance(directory, name, "rename");
    const known = stat === undefined ? undefined : this.#byIdentity.get(identityOf(stat));
    if (known !== undefined && known !== this.root) this.#setPlace(known, directory, name);
  }

  /**
   * Uses the name under which an inode was found last, for calls that take no descriptor.
   * @throws SystemError ESTALE when it is not there any more
   */
  atPlace<T>(known: HostNode, call: string, use: (path: Buffer) => T): T {
    return this.reach.atName(...this.place(known, call), call, use);
  }

  /** Where an inode is. @throws SystemError ESTALE when it is not there any more */
  place(known: HostNode, call: string): [directory: HostNode, name: Uint8Array] {
    const { place } = known;
    const stat = place === undefined ? undefined : this.reach.glance(place.directory, place.name, call);
    if (place === undefined || stat === undefined || identityOf(stat) !== known.identity) {
      throw new SystemError(Errno.ESTALE, call, "it was moved or replaced on the host");
    }
    return [place.directory, place.name];
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
    for (const known of this.#byNode.values()) this.reach.letGo(known);
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
    this.reach.close();
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

  #collect(known: HostNode): void {
    let at: HostNode | undefined = known;
    while (at !== undefined && at !== this.root && at.lookups === 0 && at.users === 0) {
      this.reach.letGo(at);
      this.#byNode.delete(at.node);
      if (this.#byIdentity.get(at.identity) === at) this.#byIdentity.delete(at.identity);
      const above: HostNode | undefined = at.place?.directory;
      at.place = undefined;
      if (above !== undefined) above.users--;
      at = above;
    }
  }
}

function isStale(error: unknown): boolean {
  return error instanceof SystemError && error.errno === Errno.ESTALE;
}
