/** Calls about attributes: stat, truncate, chmod, utimes; and how full the file system is. */
import { Errno } from "@toril/virtio/platform";
import type { FilePath, FileStat, FileSystemStat } from "../file-calls.ts";
import { createSetattrIn, type Opaque64, type SetattrIn, SetattrValid } from "../wire/index.ts";
import type { Cancellation } from "./cancellation.ts";
import type { OpenFile } from "./file.ts";
import type { FileCache } from "./file-cache.ts";
import type { Node } from "./nodes.ts";
import type { Operations } from "./operations.ts";
import type { Resolver } from "./resolver.ts";
import type { Tree } from "./tree.ts";

type Cancel = Cancellation | undefined;
type TimeChange = number | "now" | undefined;

const PERMISSIONS = 0o7777;

export interface AttributeCallsOptions {
  readonly operations: Operations;
  readonly tree: Tree;
  readonly resolver: Resolver;
  readonly cache: FileCache;
}

export class AttributeCalls {
  readonly #operations: Operations;
  readonly #tree: Tree;
  readonly #resolver: Resolver;
  readonly #cache: FileCache;

  constructor(options: AttributeCallsOptions) {
    this.#operations = options.operations;
    this.#tree = options.tree;
    this.#resolver = options.resolver;
    this.#cache = options.cache;
  }

  stat(path: FilePath, goal: "node" | "link", cancel: Cancel): Promise<FileStat | number> {
    const since = this.#tree.now();
    return this.#resolver.at(path, goal, cancel, ({ node }) => this.#tree.stat(node, undefined, since, cancel));
  }

  statFile(file: OpenFile, cancel: Cancel): Promise<FileStat | number> {
    return this.#tree.stat(file.node, file.handle, this.#tree.now(), cancel);
  }

  truncate(path: FilePath, size: number, cancel: Cancel): Promise<number> {
    return this.#resolver.at(path, "node", cancel, async ({ node }) =>
      node.isDirectory ? -Errno.EISDIR : this.#resize(node, undefined, size, cancel),
    );
  }

  truncateFile(file: OpenFile, size: number, cancel: Cancel): Promise<number> {
    return this.#resize(file.node, file.handle, size, cancel);
  }

  chmod(path: FilePath, permissions: number, cancel: Cancel): Promise<number> {
    return this.#resolver.at(path, "node", cancel, ({ node }) => {
      const mode = node.typeBits | (permissions & PERMISSIONS);
      return this.#change(node, { ...createSetattrIn(), valid: SetattrValid.Mode, mode }, cancel);
    });
  }

  utimes(path: FilePath, atime: TimeChange, mtime: TimeChange, cancel: Cancel): Promise<number> {
    const changes = createSetattrIn();
    if (atime !== undefined) {
      changes.valid |= SetattrValid.Atime | (atime === "now" ? SetattrValid.AtimeNow : 0);
      if (atime !== "now") [changes.atimeSeconds, changes.atimeNanoseconds] = splitTime(atime);
    }
    if (mtime !== undefined) {
      changes.valid |= SetattrValid.Mtime | (mtime === "now" ? SetattrValid.MtimeNow : 0);
      if (mtime !== "now") [changes.mtimeSeconds, changes.mtimeNanoseconds] = splitTime(mtime);
    }
    return this.#resolver.at(path, "node", cancel, async ({ node }) =>
      changes.valid === 0 ? 0 : this.#change(node, changes, cancel),
    );
  }

  statfs(path: FilePath, cancel: Cancel): Promise<FileSystemStat | number> {
    return this.#resolver.at(path, "node", cancel, async ({ node }) => {
      const out = await this.#operations.statfs(node.id, cancel);
      if (typeof out === "number") return out;
      // Blocks are counted in units of the fragment size (statvfs); servers that leave it out mean the block size.
      return {
        blockSize: out.fragmentSize || out.blockSize,
        blocks: out.blocks,
        blocksFree: out.blocksFree,
        blocksAvailable: out.blocksAvailable,
        files: out.files,
        filesFree: out.filesFree,
        maxNameLength: out.nameLength,
      };
    });
  }

  async #resize(node: Node, handle: Readonly<Opaque64> | undefined, size: number, cancel: Cancel): Promise<number> {
    const changes = { ...createSetattrIn(), valid: SetattrValid.Size as number, size };
    if (handle !== undefined) {
      changes.valid |= SetattrValid.Fh;
      changes.handle = { ...handle };
    }
    this.#cache.dropFile(node);
    const result = await this.#change(node, changes, cancel);
    this.#cache.dropFile(node);
    return result;
  }

  async #change(node: Node, changes: SetattrIn, cancel: Cancel): Promise<number> {
    const mark = this.#tree.attributesChanging(node);
    const reply = await this.#operations.setattr(node.id, changes, cancel);
    const result = typeof reply === "number" ? reply : this.#tree.attributed(node, reply, mark);
    node.attributes.changes++; // what was asked before the change is not believed after it
    return result;
  }
}

/** Milliseconds as seconds and nanoseconds, rounded down as far as a double tells. */
function splitTime(milliseconds: number): [seconds: number, nanoseconds: number] {
  const seconds = Math.floor(milliseconds / 1000);
  return [seconds, Math.floor((milliseconds - seconds * 1000) * 1e6)];
}
