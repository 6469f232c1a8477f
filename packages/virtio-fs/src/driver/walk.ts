/**
 * From a path to a node, one name at a time (POSIX, 4.13 Pathname Resolution): symbolic links are followed inside the
 * mount, an absolute target starts at the mount's root, and `..` stops there.
 *
 * The same steps run twice: `tryRun` as far as the cache goes, without waiting, and `run`, which asks the device. When a
 * cached name is out of date, `run` asks for all names on the way that are, at once, along the cached guess: a path that
 * has not changed costs one round trip, however deep it is.
 */
import { Errno } from "@toril/virtio/platform";
import type { ByteString } from "./byte-string.ts";
import { VALID_FOR_EVER } from "./cache-policy.ts";
import type { Cancellation } from "./cancellation.ts";
import type { Node } from "./nodes.ts";
import { type ParsedPath, splitPath } from "./paths.ts";
import type { Tree } from "./tree.ts";

/** Linux' MAXSYMLINKS: more links than this in one walk are ELOOP. */
const MAX_SYMLINKS = 40;

/**
 * Where a walk ends: `node` at what the path names, following a link there; `link` the same without following it;
 * `parent` before the last name, which is left in `rest`.
 */
export type WalkGoal = "node" | "link" | "parent";

/** Whether cached names are believed; `ask` after the device has called one stale. */
export type WalkTrust = "cache" | "ask";

const NEEDS_LOOKUP = 1;
const NEEDS_TARGET = 2;
const STEPPED = 0;

export class Walk {
  /** Until when all cached names that were passed may be believed. */
  validUntil: number = VALID_FOR_EVER;
  readonly #tree: Tree;
  readonly #goal: WalkGoal;
  readonly #trust: WalkTrust;
  /** From the root to where we are; each is held. */
  readonly #trail: Node[];
  /** Names to go, the next one last. */
  readonly #rest: ByteString[];
  #trailingSlash: boolean;
  #links = 0;
  /** A link whose target must be read before the walk goes on; held. */
  #link: Node | undefined;
  #guessed = false;

  constructor(tree: Tree, path: ParsedPath, goal: WalkGoal, trust: WalkTrust = "cache") {
    this.#tree = tree;
    this.#goal = goal;
    this.#trust = trust;
    tree.nodes.hold(tree.nodes.root);
    this.#trail = [tree.nodes.root];
    this.#rest = [...path.names].reverse();
    this.#trailingSlash = path.trailingSlash;
  }

  /** Where the walk stands: held until `end`. */
  get node(): Node {
    return this.#trail[this.#trail.length - 1] ?? this.#tree.nodes.root;
  }

  /** With goal `parent`: the last name; `undefined` when the path is the root. */
  get lastName(): ByteString | undefined {
    return this.#rest[0];
  }

  get trailingSlash(): boolean {
    return this.#trailingSlash;
  }

  /** 0 at the goal; a negative errno, -EAGAIN where the device must be asked. */
  tryRun(): number {
    const now = this.#tree.now();
    while (!this.#arrived) {
      const step = this.#step(now);
      if (step > 0) return -Errno.EAGAIN;
      if (step < 0) return step;
    }
    return this.#finish();
  }

  /** 0 at the goal, or a negative errno. */
  async run(cancel: Cancellation | undefined): Promise<number> {
    while (!this.#arrived) {
      if (cancel?.cancelled === true) return cancel.result;
      let step = this.#step(this.#tree.now());
      if (step === NEEDS_LOOKUP) step = await this.#lookup(cancel);
      else if (step === NEEDS_TARGET) step = await this.#readTarget(cancel);
      if (step < 0) return step;
    }
    return this.#finish();
  }

  /** With goal `parent`, after the last name proved to be a link that is to be followed: the walk can `run` on. */
  async follow(link: Node, cancel: Cancellation | undefined): Promise<number> {
    this.#rest.pop();
    this.#tree.nodes.hold(link);
    this.#link = link;
    return this.#readTarget(cancel);
  }

  /** Lets go of all nodes. */
  end(): void {
    if (this.#link !== undefined) this.#tree.nodes.release(this.#link);
    this.#link = undefined;
    for (let node = this.#trail.pop(); node !== undefined; node = this.#trail.pop()) this.#tree.nodes.release(node);
  }

  get #arrived(): boolean {
    return this.#link === undefined && this.#rest.length <= (this.#goal === "parent" ? 1 : 0);
  }

  #finish(): number {
    const mustBeDirectory = this.#goal === "parent" || this.#trailingSlash;
    return mustBeDirectory && !this.node.isDirectory ? -Errno.ENOTDIR : 0;
  }

  #step(now: number): number {
    if (this.#link !== undefined) return this.#link.linkTarget === undefined ? NEEDS_TARGET : this.#substitute();
    const here = this.node;
    if (!here.isDirectory) return -Errno.ENOTDIR;
    const name = this.#rest[this.#rest.length - 1];
    if (name === undefined) return STEPPED;
    if (name === "." || name === "..") {
      this.#rest.pop();
      if (name === ".." && this.#trail.length > 1) this.#leave();
      return STEPPED;
    }
    const cached = this.#trust === "cache" ? this.#tree.names.get(here, name) : undefined;
    if (cached === undefined || now >= cached.validUntil) return NEEDS_LOOKUP;
    this.validUntil = Math.min(this.validUntil, cached.validUntil);
    if (cached.node === undefined) return -Errno.ENOENT;
    this.#rest.pop();
    return this.#enter(cached.node);
  }

  async #lookup(cancel: Cancellation | undefined): Promise<number> {
    const name = this.#rest[this.#rest.length - 1];
    if (name === undefined) return STEPPED;
    if (!this.#guessed && this.#trust === "cache") this.#askAhead();
    const found = await this.#tree.lookup(this.node, name, cancel);
    if (typeof found === "number") return found;
    this.#rest.pop();
    const step = this.#enter(found);
    this.#tree.nodes.release(found);
    return step;
  }

  /** Asks for the names further on that are out of date, too, as if the guess were right; the answers are shared. */
  #askAhead(): void {
    this.#guessed = true;
    const now = this.#tree.now();
    let parent = this.node;
    for (let i = this.#rest.length - 1; i >= 0; i--) {
      const name = this.#rest[i];
      if (name === undefined || name === "." || name === "..") return;
      const cached = this.#tree.names.get(parent, name);
      const stale = cached !== undefined && now >= cached.validUntil;
      const first = i === this.#rest.length - 1;
      if (stale && !first && !this.#tree.isAsking(parent, name)) void this.#askUnused(parent, name);
      const next = cached?.node;
      if (next === undefined || !next.isDirectory) return;
      parent = next;
    }
  }

  /** A question whose answer is wanted in the cache only. */
  async #askUnused(parent: Node, name: ByteString): Promise<void> {
    const found = await this.#tree.lookup(parent, name, undefined);
    if (typeof found !== "number") this.#tree.nodes.release(found);
  }

  #enter(node: Node): number {
    const last = this.#rest.length === 0;
    if (node.isSymlink && (!last || this.#goal === "node" || this.#trailingSlash)) {
      this.#tree.nodes.hold(node);
      this.#link = node;
      return STEPPED;
    }
    this.#tree.nodes.hold(node);
    this.#trail.push(node);
    return STEPPED;
  }

  #leave(): void {
    const node = this.#trail.pop();
    if (node !== undefined) this.#tree.nodes.release(node);
  }

  async #readTarget(cancel: Cancellation | undefined): Promise<number> {
    if (this.#link === undefined) return STEPPED;
    const target = await this.#tree.readlink(this.#link, cancel);
    return typeof target === "number" ? target : this.#substitute(target);
  }

  /** Puts the link's target in its place. */
  #substitute(target: ByteString | undefined = this.#link?.linkTarget): number {
    const link = this.#link;
    if (link === undefined || target === undefined) return STEPPED;
    this.#link = undefined;
    this.#tree.nodes.release(link);
    if (++this.#links > MAX_SYMLINKS) return -Errno.ELOOP;
    const path = splitPath(target);
    if (typeof path === "number") return path;
    if (target.startsWith("/")) while (this.#trail.length > 1) this.#leave();
    if (this.#rest.length === 0 && path.trailingSlash) this.#trailingSlash = true;
    for (let i = path.names.length - 1; i >= 0; i--) {
      const name = path.names[i];
      if (name !== undefined) this.#rest.push(name);
    }
    return STEPPED;
  }
}
