/** Opening and closing files. */
import { Errno } from "@toril/virtio/platform";
import type { FilePath, OpenOptions } from "../file-calls.ts";
import { createSetattrIn, Opcode, OpenFlag, SetattrValid } from "../wire/index.ts";
import type { ByteString } from "./byte-string.ts";
import type { Cancellation } from "./cancellation.ts";
import { OpenFile } from "./file.ts";
import type { FileCache } from "./file-cache.ts";
import type { Node } from "./nodes.ts";
import type { Operations } from "./operations.ts";
import { ReadAhead } from "./read-ahead.ts";
import type { OpenReply } from "./replies.ts";
import type { Resolver } from "./resolver.ts";
import type { Session } from "./session.ts";
import type { Counters } from "./stats.ts";
import type { Tree } from "./tree.ts";
import type { Walk } from "./walk.ts";

type Cancel = Cancellation | undefined;

const { ReadOnly, WriteOnly, ReadWrite, Create, Exclusive, Truncate, Append } = OpenFlag;

const FLAGS: Readonly<Record<NonNullable<OpenOptions["mode"]>, number>> = {
  r: ReadOnly,
  "r+": ReadWrite,
  w: WriteOnly | Create | Truncate,
  "w+": ReadWrite | Create | Truncate,
  wx: WriteOnly | Create | Exclusive,
  "wx+": ReadWrite | Create | Exclusive,
  a: WriteOnly | Create | Append,
  "a+": ReadWrite | Create | Append,
};

/** S_IFREG: CREATE takes a whole st_mode. */
const REGULAR = 0o100000;
const PERMISSIONS = 0o7777;
const DEFAULT_PERMISSIONS = 0o644;
/** How often a file may come and go between our question for it and our answer. */
const CREATE_ATTEMPTS = 8;

export interface OpenerOptions {
  readonly operations: Operations;
  readonly tree: Tree;
  readonly resolver: Resolver;
  readonly cache: FileCache;
  readonly session: Session;
  readonly counters: Counters;
  /** Most blocks that an open file reads ahead. */
  readonly readAheadBlocks: number;
}

export class Opener {
  readonly #operations: Operations;
  readonly #tree: Tree;
  readonly #resolver: Resolver;
  readonly #cache: FileCache;
  readonly #session: Session;
  readonly #counters: Counters;
  readonly #readAheadBlocks: number;
  #flushWorks = true;

  constructor(options: OpenerOptions) {
    this.#operations = options.operations;
    this.#tree = options.tree;
    this.#resolver = options.resolver;
    this.#cache = options.cache;
    this.#session = options.session;
    this.#counters = options.counters;
    this.#readAheadBlocks = options.readAheadBlocks;
  }

  async open(path: FilePath, options: OpenOptions, cancel: Cancel): Promise<OpenFile | number> {
    const flags = FLAGS[options.mode ?? "r"];
    const follow = options.noFollow !== true;
    if ((flags & Create) === 0) {
      return this.#resolver.at(path, follow ? "node" : "link", cancel, (walk) =>
        this.#openNode(walk.node, flags, cancel),
      );
    }
    const permissions = (options.permissions ?? DEFAULT_PERMISSIONS) & PERMISSIONS;
    return this.#resolver.at(path, "parent", cancel, (walk) =>
      this.#createAt(walk, flags, permissions, follow, cancel),
    );
  }

  /** @returns 0, or the error of a delayed write; the file is closed all the same */
  async close(file: OpenFile): Promise<number> {
    file.closed = true;
    this.#counters.openFiles--;
    let result = 0;
    if (file.writable && this.#flushWorks) {
      result = await this.#operations.flush(file.node.id, file.handle, undefined);
      if (result === -Errno.ENOSYS) {
        this.#flushWorks = false;
        result = 0;
      }
    }
    if (file.inFlight === 0) void this.#release(file);
    else file.onIdle = () => void this.#release(file);
    return result;
  }

  /** Nobody waits for RELEASE: it cannot fail in a way that matters. */
  async #release(file: OpenFile): Promise<void> {
    file.onIdle = undefined;
    await this.#operations.releaseHandle(Opcode.Release, file.node.id, file.handle, file.flags);
    this.#tree.nodes.release(file.node);
  }

  /** With goal `parent`: opens what the last name leads to, or makes it. */
  async #createAt(
    walk: Walk,
    flags: number,
    permissions: number,
    follow: boolean,
    cancel: Cancel,
  ): Promise<OpenFile | number> {
    for (let attempt = 0; attempt < CREATE_ATTEMPTS; attempt++) {
      const name = walk.lastName;
      const exclusive = (flags & Exclusive) !== 0;
      if (name === undefined || name === "." || name === "..") return exclusive ? -Errno.EEXIST : -Errno.EISDIR;
      if (walk.trailingSlash) return -Errno.EISDIR;
      const found = exclusive ? -Errno.ENOENT : await this.#tree.lookup(walk.node, name, cancel);
      if (found === -Errno.ENOENT) {
        const created = await this.#create(walk.node, name, flags, permissions, cancel);
        if (created === -Errno.EEXIST && !exclusive) continue; // somebody else was faster: open theirs
        return created;
      }
      if (typeof found === "number") return found;
      try {
        if (!found.isSymlink) return await this.#openNode(found, flags & ~Create, cancel);
        if (!follow) return -Errno.ELOOP;
        const followed = await walk.follow(found, cancel);
        const arrived = followed < 0 ? followed : await walk.run(cancel);
        if (arrived < 0) return arrived;
        attempt = -1; // the walk counts links itself
      } finally {
        this.#tree.nodes.release(found);
      }
    }
    return -Errno.EBUSY;
  }

  async #create(
    parent: Node,
    name: ByteString,
    flags: number,
    permissions: number,
    cancel: Cancel,
  ): Promise<OpenFile | number> {
    const mark = this.#tree.changing(parent);
    const reply = await this.#operations.create(parent.id, name, flags, REGULAR | permissions, cancel);
    if (typeof reply === "number") {
      if (reply === -Errno.EEXIST) this.#tree.names.drop(parent, name);
      this.#tree.changing(parent);
      return reply;
    }
    const node = this.#tree.entered(reply, parent, name, mark);
    this.#tree.changing(parent);
    // A reply without a node that we can use: its handle cannot be released, because RELEASE names the node.
    if (typeof node === "number") return -Errno.EIO;
    this.#cache.dropFile(node); // it may have been there, and been truncated
    return this.#opened(node, reply.opened, flags, cancel);
  }

  async #openNode(node: Node, flags: number, cancel: Cancel): Promise<OpenFile | number> {
    if (node.isSymlink) return -Errno.ELOOP;
    if (node.isDirectory) return -Errno.EISDIR;
    // FIFOs, sockets and devices are the guest's own business, never the device's (as in Linux).
    if (!node.isRegular) return -Errno.ENXIO;
    const truncate = (flags & Truncate) !== 0;
    const sent = this.#session.atomicTruncate ? flags : flags & ~Truncate;
    if (truncate) this.#tree.attributesChanging(node);
    this.#tree.nodes.hold(node);
    const opened = await this.#operations.open(Opcode.Open, node.id, sent, cancel);
    if (truncate) {
      this.#tree.attributesChanging(node);
      this.#cache.dropFile(node);
    }
    if (typeof opened === "number") {
      this.#tree.nodes.release(node);
      return opened;
    }
    const file = await this.#opened(node, opened, flags, cancel);
    if (typeof file === "number" || !truncate || this.#session.atomicTruncate) return file;
    const result = await this.#truncate(file, cancel);
    if (result >= 0) return file;
    await this.close(file);
    return result;
  }

  async #truncate(file: OpenFile, cancel: Cancel): Promise<number> {
    const changes = { ...createSetattrIn(), valid: SetattrValid.Size | SetattrValid.Fh, handle: { ...file.handle } };
    const mark = this.#tree.attributesChanging(file.node);
    const reply = await this.#operations.setattr(file.node.id, changes, cancel);
    const result = typeof reply === "number" ? reply : this.#tree.attributed(file.node, reply, mark);
    this.#tree.attributesChanging(file.node);
    this.#cache.dropFile(file.node);
    return result;
  }

  /** The node comes held, and stays so while the file is open. */
  async #opened(node: Node, opened: OpenReply, flags: number, cancel: Cancel): Promise<OpenFile | number> {
    const file = new OpenFile(
      this,
      node,
      opened,
      flags & ~(Create | Exclusive | Truncate),
      new ReadAhead(this.#readAheadBlocks),
    );
    this.#counters.openFiles++;
    if (cancel?.cancelled !== true) return file;
    await this.close(file); // nobody waits for it any more
    return cancel.result;
  }
}
