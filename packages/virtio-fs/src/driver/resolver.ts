/** Runs a call at the end of a path: walks there, and once more from scratch when the device calls something stale. */
import { Errno } from "@toril/virtio/platform";
import type { FilePath } from "../file-calls.ts";
import type { Cancellation } from "./cancellation.ts";
import { parsePath } from "./paths.ts";
import type { Tree } from "./tree.ts";
import { Walk, type WalkGoal } from "./walk.ts";

export class Resolver {
  readonly #tree: Tree;

  constructor(tree: Tree) {
    this.#tree = tree;
  }

  /**
   * @param body runs where the walk has ended, all nodes on the way being held
   * @returns what `body` returns, or a negative errno of the walk
   */
  async at<T>(
    path: FilePath,
    goal: WalkGoal,
    cancel: Cancellation | undefined,
    body: (walk: Walk) => Promise<T | number>,
  ): Promise<T | number> {
    const parsed = parsePath(path);
    if (typeof parsed === "number") return parsed;
    for (const trust of ["cache", "ask"] as const) {
      const walk = new Walk(this.#tree, parsed, goal, trust);
      try {
        const arrived = await walk.run(cancel);
        const result = arrived < 0 ? arrived : await body(walk);
        // A name that was believed led to a node that the device has no longer: ask for every name (as Linux does).
        if (result !== -Errno.ESTALE || trust === "ask") return result;
      } finally {
        walk.end();
      }
    }
    return -Errno.ESTALE;
  }
}
