/**
 * What the driver knows of the directory tree: nodes, names and attributes, each believed for as long as the policy
 * allows, and asked for when it is not. Calls that ask the same question at the same time share one request.
 */
import { type Clock, Errno } from "@toril/virtio/platform";
import type { FileStat } from "../file-calls.ts";
import type { Opaque64 } from "../wire/index.ts";
import { opaqueKey } from "../wire/index.ts";
import type { ByteString } from "./byte-string.ts";
import { fromBytes } from "./byte-string.ts";
import { type CacheMode, validUntil } from "./cache-policy.ts";
import type { Cancellation } from "./cancellation.ts";
import type { GuestBuffers } from "./guest-buffers.ts";
import { NameCache } from "./names.ts";
import { type Node, NodeTable } from "./nodes.ts";
import type { Operations } from "./operations.ts";
import { PATH_LIMIT } from "./paths.ts";
import type { AttrReply, EntryReply } from "./replies.ts";
import type { Counters } from "./stats.ts";

type Cancel = Cancellation | undefined;

/** A LOOKUP under way; each of its users gets a hold on the node that comes of it. */
interface SharedLookup {
  users: number;
  readonly result: Promise<Node | number>;
}

export interface TreeOptions {
  readonly operations: Operations;
  readonly buffers: GuestBuffers;
  readonly clock: Clock;
  readonly mode: CacheMode;
  readonly nameLimit: number;
  readonly counters: Counters;
  readonly forget: (id: Readonly<Opaque64>, lookups: number) => void;
  /** The file's data is not what it was. */
  readonly onDataChanged: (node: Node) => void;
  /** The node is forgotten. */
  readonly onGone: (node: Node) => void;
}

export class Tree {
  readonly nodes: NodeTable;
  readonly names: NameCache;
  readonly mode: CacheMode;
  readonly #operations: Operations;
  readonly #buffers: GuestBuffers;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #onDataChanged: TreeOptions["onDataChanged"];
  readonly #lookups = new Map<Node, Map<ByteString, SharedLookup>>();
  readonly #getattrs = new Map<Node, Promise<number>>();

  constructor(options: TreeOptions) {
    this.mode = options.mode;
    this.#operations = options.operations;
    this.#buffers = options.buffers;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.#onDataChanged = options.onDataChanged;
    this.names = new NameCache(options.nameLimit, () => this.nodes);
    this.nodes = new NodeTable({
      forget: options.forget,
      onGone: (node) => {
        this.names.dropChildren(node);
        options.onGone(node);
      },
    });
  }

  now(): number {
    return this.#clock.now();
  }

  /**
   * Asks for a name; the node is held for the caller.
   * @returns the node, or a negative errno (-ENOENT is cached when the device gives it a validity)
   */
  async lookup(parent: Node, name: ByteString, cancel: Cancel): Promise<Node | number> {
    // Who believes nothing must not believe the answer to somebody else's earlier question either.
    if (this.mode === "none") return this.#askName(parent, name, cancel, () => 1);
    let shared = this.#lookups.get(parent)?.get(name);
    if (shared === undefined) shared = this.#shareLookup(parent, name);
    else shared.users++;
    return shared.result;
  }

  /** The same, but a name that may be believed is not asked for. */
  async find(parent: Node, name: ByteString, cancel: Cancel): Promise<Node | number> {
    const cached = this.names.get(parent, name);
    if (cached === undefined || this.now() >= cached.validUntil) return this.lookup(parent, name, cancel);
    if (cached.node === undefined) return -Errno.ENOENT;
    this.nodes.hold(cached.node);
    return cached.node;
  }

  /** Whether a LOOKUP of this name is under way. */
  isAsking(parent: Node, name: ByteString): boolean {
    return this.#lookups.get(parent)?.has(name) === true;
  }

  /** Takes in the entry that a request brought; the node is held for the caller. */
  entered(reply: EntryReply, parent: Node, name: ByteString, changes: number): Node | number {
    const { entry, sentAt } = reply;
    const believedUntil = validUntil(this.mode, sentAt, entry.entryValid);
    const mayCache = this.mode !== "none" && parent.changes === changes;
    if (opaqueKey(entry.node) === 0) {
      if (mayCache) this.names.put(parent, name, undefined, believedUntil);
      return -Errno.ENOENT;
    }
    const node = this.nodes.entered(entry);
    if (node === undefined) return -Errno.EIO; // the root is nobody's child
    const attributesUntil = validUntil(this.mode, sentAt, entry.attrValid);
    const news = node.attributes.update(entry.attr, sentAt, node.attributes.changes, attributesUntil);
    if (news === "malformed") {
      this.nodes.release(node);
      return -Errno.EIO;
    }
    if (news === "data-changed") this.#onDataChanged(node);
    if (mayCache) this.names.put(parent, name, node, believedUntil);
    return node;
  }

  /**
   * We are about to change the names in a directory, or have just done so: answers under way are not cached, and paths
   * are walked anew. Returns the mark for `entered`: our own change's answer is cached if nobody else's came between.
   */
  changing(parent: Node): number {
    parent.changes++;
    this.names.epoch++;
    this.attributesChanging(parent);
    return parent.changes;
  }

  /** The same for a node's attributes; returns the mark for `attributed`. */
  attributesChanging(node: Node): number {
    node.attributes.changes++;
    node.attributes.expire();
    return node.attributes.changes;
  }

  /** The attributes, when they may be believed now. */
  tryStat(node: Node): FileStat | undefined {
    return this.#clock.now() < node.attributes.validUntil ? node.attributes.stat : undefined;
  }

  /**
   * The attributes, asked for unless they may be believed.
   * @param since attributes from a question sent at this time or later are good enough
   */
  stat(node: Node, handle: Readonly<Opaque64> | undefined, since: number, cancel: Cancel): Promise<FileStat | number> {
    const known = node.attributes.stat;
    if (known !== undefined && (this.#clock.now() < node.attributes.validUntil || node.attributes.askedAt >= since)) {
      return Promise.resolve(known);
    }
    return this.mode === "none" ? this.#askAttributes(node, handle, cancel) : this.#sharedStat(node, handle);
  }

  async #sharedStat(node: Node, handle: Readonly<Opaque64> | undefined): Promise<FileStat | number> {
    let shared = this.#getattrs.get(node);
    if (shared === undefined) {
      shared = this.#shareGetattr(node, handle);
      this.#getattrs.set(node, shared);
    }
    const result = await shared;
    if (result < 0) return result;
    return node.attributes.stat ?? -Errno.EIO;
  }

  /** The device is gone: nothing it said is believed any more. */
  forgetAll(): void {
    this.nodes.expireAll();
    this.names.expireAll();
  }

  /** Takes in attributes that a request brought. `changes`: what `node.attributes.changes` was when it was sent. */
  attributed(node: Node, reply: AttrReply, changes: number): number {
    const until = validUntil(this.mode, reply.sentAt, reply.validity);
    const news = node.attributes.update(reply.attr, reply.sentAt, changes, until);
    if (news === "data-changed") this.#onDataChanged(node);
    return news === "malformed" ? -Errno.EIO : 0;
  }

  /** The target of a symbolic link. */
  async readlink(node: Node, cancel: Cancel): Promise<ByteString | number> {
    if (node.linkTarget !== undefined) return node.linkTarget;
    const buffer = await this.#buffers.take(PATH_LIMIT + 1, cancel);
    if (typeof buffer === "number") return buffer;
    buffer.lendToWrite();
    const length = await this.#operations.readlink(
      node.id,
      { address: buffer.address, length: PATH_LIMIT + 1 },
      cancel,
    );
    if (!this.#buffers.reclaim(buffer)) return length < 0 ? length : -Errno.EIO;
    const target = length < 0 ? length : fromBytes(buffer.bytes, 0, length);
    this.#buffers.put(buffer);
    if (typeof target !== "number" && this.mode !== "none") node.linkTarget = target;
    return target;
  }

  #shareLookup(parent: Node, name: ByteString): SharedLookup {
    let pending = this.#lookups.get(parent);
    if (pending === undefined) {
      pending = new Map();
      this.#lookups.set(parent, pending);
    }
    const inParent = pending;
    const shared: SharedLookup = {
      users: 1,
      result: this.#askName(parent, name, undefined, () => {
        inParent.delete(name);
        if (inParent.size === 0) this.#lookups.delete(parent);
        return shared.users;
      }),
    };
    inParent.set(name, shared);
    return shared;
  }

  /** @param finish called when the answer is here; says how many users hold the node */
  async #askName(parent: Node, name: ByteString, cancel: Cancel, finish: () => number): Promise<Node | number> {
    const { changes } = parent;
    this.#counters.lookups++;
    this.nodes.hold(parent);
    const reply = await this.#operations.lookup(parent.id, name, cancel);
    let node: Node | number;
    if (typeof reply === "number") {
      node = reply;
      // ENOENT as an error says nothing about later; a validity comes only with an entry whose node is 0.
      if (reply === -Errno.ENOENT && parent.changes === changes) this.names.drop(parent, name);
    } else {
      node = this.entered(reply, parent, name, changes);
    }
    const users = finish();
    if (typeof node !== "number") for (let i = 1; i < users; i++) this.nodes.hold(node);
    this.nodes.release(parent);
    return node;
  }

  async #shareGetattr(node: Node, handle: Readonly<Opaque64> | undefined): Promise<number> {
    const result = await this.#askAttributes(node, handle, undefined);
    this.#getattrs.delete(node);
    return typeof result === "number" ? result : 0;
  }

  async #askAttributes(node: Node, handle: Readonly<Opaque64> | undefined, cancel: Cancel): Promise<FileStat | number> {
    const { changes } = node.attributes;
    this.nodes.hold(node);
    const reply = await this.#operations.getattr(node.id, handle, cancel);
    const result = typeof reply === "number" ? reply : this.attributed(node, reply, changes);
    // Whatever the reason, what is cached of this file cannot be had any more; and whoever asks by path asks anew.
    if (result === -Errno.ENOENT || result === -Errno.ESTALE) {
      this.#onDataChanged(node);
      node.attributes.expire();
      this.names.epoch++;
    }
    this.nodes.release(node);
    if (result < 0) return result;
    return node.attributes.stat ?? -Errno.EIO;
  }
}
