/**
 * The name cache: which node a name in a directory leads to, or that there is no such name, and until when that may be
 * believed. A name that is out of date stays as a guess: it lets a whole path be asked for again in one round trip.
 *
 * Names hold their nodes (a held node is not forgotten); a node that goes takes the names under it along. The cache is
 * bounded: the name not used for longest goes first.
 */
import type { ByteString } from "./byte-string.ts";
import { NEVER_VALID } from "./cache-policy.ts";
import type { Node, NodeTable } from "./nodes.ts";

/** One cached name. */
export class CachedName {
  readonly parent: Node;
  readonly name: ByteString;
  /** `undefined`: there is no such name. */
  node: Node | undefined;
  /** On the driver's clock. */
  validUntil: number = NEVER_VALID;
  /** Least recently used order. */
  newer: CachedName | undefined;
  older: CachedName | undefined;

  constructor(parent: Node, name: ByteString) {
    this.parent = parent;
    this.name = name;
  }
}

export class NameCache {
  /**
   * Bumped whenever a name comes to mean something else. Whoever keeps the result of a whole path keeps the epoch with
   * it, and asks again when it has moved on.
   */
  epoch = 0;
  readonly #limit: number;
  readonly #children = new Map<Node, Map<ByteString, CachedName>>();
  readonly #nodes: () => NodeTable;
  #newest: CachedName | undefined;
  #oldest: CachedName | undefined;
  #size = 0;

  /** @param limit names kept; @param nodes the table that counts their nodes (a function: the two know each other) */
  constructor(limit: number, nodes: () => NodeTable) {
    this.#limit = limit;
    this.#nodes = nodes;
  }

  get size(): number {
    return this.#size;
  }

  /** What is cached, believed or not. */
  get(parent: Node, name: ByteString): CachedName | undefined {
    const cached = this.#children.get(parent)?.get(name);
    if (cached !== undefined) this.#touch(cached);
    return cached;
  }

  /** Caches what the device said. */
  put(parent: Node, name: ByteString, node: Node | undefined, validUntil: number): void {
    if (parent.gone || node?.gone === true) return;
    let cached = this.#children.get(parent)?.get(name);
    if (cached === undefined) cached = this.#add(parent, name);
    else if (cached.node !== node) this.epoch++;
    this.#touch(cached);
    cached.validUntil = validUntil;
    const before = cached.node;
    if (before === node) return;
    cached.node = node;
    if (node !== undefined) this.#nodes().named(node);
    if (before !== undefined) this.#nodes().unnamed(before);
  }

  /** Forgets a name: we changed it, or the device contradicted it. */
  drop(parent: Node, name: ByteString): void {
    const cached = this.#children.get(parent)?.get(name);
    if (cached === undefined) return;
    this.epoch++;
    this.#remove(cached);
  }

  /** Forgets all names under a directory. */
  dropChildren(parent: Node): void {
    const children = this.#children.get(parent);
    if (children === undefined) return;
    this.epoch++;
    for (const cached of [...children.values()]) this.#remove(cached);
  }

  /** No name is believed any more. */
  expireAll(): void {
    this.epoch++;
    for (let name = this.#newest; name !== undefined; name = name.older) name.validUntil = NEVER_VALID;
  }

  #add(parent: Node, name: ByteString): CachedName {
    while (this.#size >= this.#limit && this.#oldest !== undefined) this.#remove(this.#oldest);
    const cached = new CachedName(parent, name);
    let children = this.#children.get(parent);
    if (children === undefined) {
      children = new Map();
      this.#children.set(parent, children);
    }
    children.set(name, cached);
    this.#size++;
    return cached;
  }

  #remove(cached: CachedName): void {
    this.#unlink(cached);
    const children = this.#children.get(cached.parent);
    children?.delete(cached.name);
    if (children?.size === 0) this.#children.delete(cached.parent);
    this.#size--;
    const { node } = cached;
    cached.node = undefined;
    cached.validUntil = NEVER_VALID;
    if (node !== undefined) this.#nodes().unnamed(node);
  }

  #touch(cached: CachedName): void {
    if (this.#newest === cached) return;
    this.#unlink(cached);
    cached.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = cached;
    this.#newest = cached;
    this.#oldest ??= cached;
  }

  #unlink(cached: CachedName): void {
    if (cached.newer !== undefined) cached.newer.older = cached.older;
    if (cached.older !== undefined) cached.older.newer = cached.newer;
    if (this.#newest === cached) this.#newest = cached.older;
    if (this.#oldest === cached) this.#oldest = cached.newer;
    cached.newer = undefined;
    cached.older = undefined;
  }
}
