/**
 * Whole paths, as strings, and where they lead: one Map.get for a path that is asked for again and again. An entry is
 * good while all names on its way are, and while no name has changed its meaning (the name cache's epoch).
 */
import { Errno } from "@toril/virtio/platform";
import type { FilePath } from "../file-calls.ts";
import type { NameCache } from "./names.ts";
import type { Node } from "./nodes.ts";
import { parsePath } from "./paths.ts";
import type { Counters } from "./stats.ts";
import type { Tree } from "./tree.ts";
import { Walk } from "./walk.ts";

interface KnownPath {
  /** Where the path leads, or a negative errno. */
  readonly result: Node | number;
  readonly validUntil: number;
  readonly epoch: number;
}

export class PathCache {
  readonly #tree: Tree;
  readonly #names: NameCache;
  readonly #limit: number;
  readonly #counters: Counters;
  readonly #known = new Map<string, KnownPath>();

  /** @param limit paths kept; the one learnt first goes first */
  constructor(tree: Tree, limit: number, counters: Counters) {
    this.#tree = tree;
    this.#names = tree.names;
    this.#limit = limit;
    this.#counters = counters;
  }

  /**
   * Where a path leads, as far as the cache knows: the node (not held: use it before you await), or a negative errno,
   * -EAGAIN when the device must be asked. A path that was asked before costs one look into a map.
   */
  tryResolve(path: FilePath, now: number): Node | number {
    if (typeof path !== "string") return this.#walk(path).result;
    const known = this.#known.get(path);
    if (known !== undefined && now < known.validUntil && known.epoch === this.#names.epoch) {
      const { result } = known;
      if (typeof result === "number" || !result.gone) {
        this.#counters.pathHits++;
        return result;
      }
    }
    const found = this.#walk(path);
    // Only what the device's answers say of names is kept: -EAGAIN is not knowing.
    if (found.result === -Errno.EAGAIN || found.validUntil <= now) {
      if (known !== undefined) this.#known.delete(path);
    } else {
      this.#remember(path, found);
    }
    return found.result;
  }

  #remember(path: string, found: KnownPath): void {
    this.#known.delete(path);
    if (this.#known.size >= this.#limit) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest);
        break;
      }
    }
    this.#known.set(path, found);
  }

  #walk(path: FilePath): KnownPath {
    const epoch = this.#names.epoch;
    const parsed = parsePath(path);
    if (typeof parsed === "number") return { result: parsed, validUntil: Number.NEGATIVE_INFINITY, epoch };
    const walk = new Walk(this.#tree, parsed, "node");
    const result = walk.tryRun();
    const { node, validUntil } = walk;
    walk.end();
    return { result: result < 0 ? result : node, validUntil, epoch };
  }
}
