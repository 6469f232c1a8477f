/**
 * The nodes that the device has told us of, and how often. FUSE counts: each entry in a reply adds one lookup to its
 * node, and the device keeps the node until FORGET has given all of them back. Here the count is exact, and a node is
 * forgotten when nothing of ours needs it: no name in the name cache, no open file, no call on its way.
 */
import { type EntryOut, type Opaque64, opaqueKey, ROOT_NODE_ID } from "../wire/index.ts";
import type { ByteString } from "./byte-string.ts";
import { NodeAttributes } from "./node-attributes.ts";

/** S_IFMT. */
const TYPE_BITS = 0o170000;
const DIRECTORY = 0o040000;
const SYMLINK = 0o120000;
const REGULAR = 0o100000;

/** One inode, as long as the device counts lookups of ours. */
export class Node {
  readonly id: Readonly<Opaque64>;
  /** fuse_entry_out.generation: with it the id is unique over the life of the file system. */
  readonly generation: Readonly<Opaque64>;
  /** st_mode's type bits. The type of an inode never changes; another type under the same id is another inode. */
  readonly typeBits: number;
  readonly attributes: NodeAttributes = new NodeAttributes();
  /** Lookups that the device counts for us. */
  lookups = 0;
  /** Why we still need it: calls and open files; names in the cache. */
  uses = 0;
  names = 0;
  /** Bumped by each change that we make to a directory: a lookup that was under way meanwhile is not cached. */
  changes = 0;
  /** Target of a symbolic link, once read. An inode's target never changes. */
  linkTarget: ByteString | undefined;
  /** No longer in the table: forgotten, or its id now names another inode. */
  gone = false;

  constructor(id: Readonly<Opaque64>, generation: Readonly<Opaque64>, mode: number) {
    this.id = { low: id.low, high: id.high };
    this.generation = { low: generation.low, high: generation.high };
    this.typeBits = mode & TYPE_BITS;
  }

  get isRoot(): boolean {
    return this.id.low === ROOT_NODE_ID && this.id.high === 0;
  }

  get isDirectory(): boolean {
    return this.typeBits === DIRECTORY;
  }

  get isRegular(): boolean {
    return this.typeBits === REGULAR;
  }

  get isSymlink(): boolean {
    return this.typeBits === SYMLINK;
  }
}

export interface NodeTableOptions {
  /** Gives lookups back to the device, soon. */
  readonly forget: (id: Readonly<Opaque64>, lookups: number) => void;
  /** A node left the table: drop what is cached under it. */
  readonly onGone: (node: Node) => void;
}

export class NodeTable {
  readonly root: Node;
  readonly #nodes = new Map<number | bigint, Node>();
  readonly #forget: NodeTableOptions["forget"];
  readonly #onGone: NodeTableOptions["onGone"];

  constructor(options: NodeTableOptions) {
    this.#forget = options.forget;
    this.#onGone = options.onGone;
    this.root = new Node({ low: ROOT_NODE_ID, high: 0 }, { low: 0, high: 0 }, DIRECTORY);
    this.#nodes.set(ROOT_NODE_ID, this.root);
  }

  /** Nodes known, the root included. */
  get size(): number {
    return this.#nodes.size;
  }

  /**
   * An entry came in: counts its lookup and returns the node, held once (`release` it). `undefined` when no node can be
   * made of it: the id is 0 or the root's. The root is nobody's child, and its lookups are not counted.
   */
  entered(entry: Readonly<EntryOut>): Node | undefined {
    const { id, generation } = { id: entry.node, generation: entry.generation };
    const key = opaqueKey(id);
    if (key === 0 || key === ROOT_NODE_ID) return undefined;
    let node = this.#nodes.get(key);
    if (node !== undefined && !isSameInode(node, generation, entry.attr.mode)) {
      // The id was given to another inode. The device counts lookups by id, so the new node inherits the count.
      const inherited = node.lookups;
      node.lookups = 0;
      this.#drop(node);
      node = this.#add(key, new Node(id, generation, entry.attr.mode));
      node.lookups = inherited;
    }
    node ??= this.#add(key, new Node(id, generation, entry.attr.mode));
    node.lookups++;
    node.uses++;
    return node;
  }

  /** Somebody needs the node until `release`. */
  hold(node: Node): void {
    node.uses++;
  }

  release(node: Node): void {
    node.uses--;
    this.#forgetUnused(node);
  }

  /** The name cache has one more name, or one less, for the node. */
  named(node: Node): void {
    node.names++;
  }

  unnamed(node: Node): void {
    node.names--;
    this.#forgetUnused(node);
  }

  /** No attributes are believed any more. */
  expireAll(): void {
    for (const node of this.#nodes.values()) node.attributes.expire();
  }

  #add(key: number | bigint, node: Node): Node {
    this.#nodes.set(key, node);
    return node;
  }

  #forgetUnused(node: Node): void {
    if (node.uses > 0 || node.names > 0 || node.gone || node.isRoot) return;
    this.#drop(node);
    this.#forget(node.id, node.lookups);
    node.lookups = 0;
  }

  #drop(node: Node): void {
    node.gone = true;
    this.#nodes.delete(opaqueKey(node.id));
    this.#onGone(node);
  }
}

function isSameInode(node: Node, generation: Readonly<Opaque64>, mode: number): boolean {
  const sameGeneration = node.generation.low === generation.low && node.generation.high === generation.high;
  return sameGeneration && node.typeBits === (mode & TYPE_BITS);
}
