/** Reading directories: READDIR, or READDIRPLUS, whose items count as lookups and fill the name cache. */
import { Errno } from "@toril/virtio/platform";
import type { DirectoryEntry, FilePath } from "../file-calls.ts";
import { DirentReader, type Opaque64, Opcode, opaqueToBigInt } from "../wire/index.ts";
import { decode, fromBytes } from "./byte-string.ts";
import type { Cancellation } from "./cancellation.ts";
import { BUFFER_LIMIT, type GuestBuffers } from "./guest-buffers.ts";
import { fileType } from "./node-attributes.ts";
import type { Node } from "./nodes.ts";
import type { Operations } from "./operations.ts";
import type { RequestEngine } from "./requests.ts";
import type { Resolver } from "./resolver.ts";
import type { Session } from "./session.ts";
import type { Tree } from "./tree.ts";
import type { Walk } from "./walk.ts";

type Cancel = Cancellation | undefined;

/** Bytes asked for at once: some hundred names. */
const READDIR_SIZE: number = Math.min(32_768, BUFFER_LIMIT);
/** More names than this in one directory are an error: an endless directory must not take all memory. */
const MAX_ENTRIES = 1 << 20;
/** FUSE_UNKNOWN_INO, libfuse's word for "look it up": what a device says that does not know without a lookup. */
const UNKNOWN_INODE = 0xffff_ffff;

export interface DirectoryReaderOptions {
  readonly engine: RequestEngine;
  readonly operations: Operations;
  readonly tree: Tree;
  readonly resolver: Resolver;
  readonly buffers: GuestBuffers;
  readonly session: Session;
}

export class DirectoryReader {
  readonly #engine: RequestEngine;
  readonly #operations: Operations;
  readonly #tree: Tree;
  readonly #resolver: Resolver;
  readonly #buffers: GuestBuffers;
  readonly #session: Session;

  constructor(options: DirectoryReaderOptions) {
    this.#engine = options.engine;
    this.#operations = options.operations;
    this.#tree = options.tree;
    this.#resolver = options.resolver;
    this.#buffers = options.buffers;
    this.#session = options.session;
  }

  /** All names but `.` and `..`, in the device's order. */
  readdir(path: FilePath, plus: boolean, cancel: Cancel): Promise<DirectoryEntry[] | number> {
    return this.#resolver.at(path, "node", cancel, async (walk: Walk): Promise<DirectoryEntry[] | number> => {
      const { node } = walk;
      if (!node.isDirectory) return -Errno.ENOTDIR;
      const opened = await this.#operations.open(Opcode.Opendir, node.id, 0, cancel);
      if (typeof opened === "number") return opened;
      const entries = await this.#readAll(node, opened.handle, plus, cancel);
      this.#tree.nodes.hold(node);
      void this.#release(node, opened.handle);
      return entries;
    });
  }

  async #release(node: Node, handle: Readonly<Opaque64>): Promise<void> {
    await this.#operations.releaseHandle(Opcode.Releasedir, node.id, handle, 0);
    this.#tree.nodes.release(node);
  }

  async #readAll(
    node: Node,
    handle: Readonly<Opaque64>,
    plus: boolean,
    cancel: Cancel,
  ): Promise<DirectoryEntry[] | number> {
    const opcode = plus && this.#session.readdirplus ? Opcode.Readdirplus : Opcode.Readdir;
    const entries: DirectoryEntry[] = [];
    const cookie = { low: 0, high: 0 };
    const size = Math.min(READDIR_SIZE, this.#session.maxRead);
    for (;;) {
      if (cancel?.cancelled === true) return cancel.result;
      const buffer = await this.#buffers.take(size, cancel);
      if (typeof buffer === "number") return buffer;
      buffer.lendToWrite();
      const { changes } = node;
      const into = { address: buffer.address, length: size };
      const reply = await this.#operations.readdir(opcode, node.id, handle, cookie, into, cancel);
      if (!this.#buffers.reclaim(buffer)) return -Errno.EIO;
      // A private copy: each item is looked at more than once.
      const bytes = typeof reply === "number" ? undefined : buffer.bytes.slice(0, reply.length);
      this.#buffers.put(buffer);
      if (typeof reply === "number") return reply;
      if (bytes === undefined || bytes.length === 0) break;
      const wrong = this.#takeItems(node, bytes, opcode, reply.sentAt, changes, cookie, entries);
      if (wrong !== undefined) {
        await this.#engine.fail(Errno.EIO, `READDIR: ${wrong}`);
        return -Errno.EIO;
      }
      if (entries.length > MAX_ENTRIES) return -Errno.EOVERFLOW;
    }
    return plus && opcode === Opcode.Readdir ? this.#addStats(node, entries, cancel) : entries;
  }

  /** Takes the items of one reply; says what is wrong with them, if anything is. */
  #takeItems(
    node: Node,
    bytes: Uint8Array,
    opcode: Opcode,
    sentAt: number,
    changes: number,
    cookie: Opaque64,
    entries: DirectoryEntry[],
  ): string | undefined {
    const plus = opcode === Opcode.Readdirplus;
    const reader = new DirentReader();
    reader.start(bytes, 0, bytes.length, plus ? "direntplus" : "dirent");
    while (reader.next()) {
      cookie.low = reader.offset.low;
      cookie.high = reader.offset.high;
      const name = fromBytes(bytes, reader.nameStart, reader.nameEnd);
      if (name === "." || name === "..") continue; // never counted as lookups
      if (name.includes("/") || name.includes("\0"))
        return `a name with a slash or NUL: ${JSON.stringify(decode(name))}`;
      let stat: DirectoryEntry["stat"];
      if (plus && (reader.entry.node.low !== 0 || reader.entry.node.high !== 0)) {
        const child = this.#tree.entered({ entry: reader.entry, sentAt }, node, name, changes);
        if (typeof child !== "number") {
          stat = child.attributes.stat;
          this.#tree.nodes.release(child);
        }
      }
      entries.push({
        name: decode(name),
        rawName: bytes.subarray(reader.nameStart, reader.nameEnd),
        type: stat?.type ?? fileType(reader.type & 0xf) ?? "unknown",
        inode: stat?.inode ?? inodeOf(reader.inode),
        ...(stat === undefined ? {} : { stat }),
      });
    }
    return reader.malformed;
  }

  /** For a device without READDIRPLUS: asks for each name; one that has gone meanwhile stays without `stat`. */
  async #addStats(node: Node, entries: readonly DirectoryEntry[], cancel: Cancel): Promise<DirectoryEntry[] | number> {
    const complete: DirectoryEntry[] = [];
    for (const entry of entries) {
      if (cancel?.cancelled === true) return cancel.result;
      const child = await this.#tree.lookup(node, fromBytes(entry.rawName, 0, entry.rawName.length), cancel);
      if (typeof child === "number") {
        complete.push(entry);
        continue;
      }
      const { stat } = child.attributes;
      this.#tree.nodes.release(child);
      complete.push(stat === undefined ? entry : { ...entry, stat });
    }
    return complete;
  }
}

function inodeOf(id: Opaque64): bigint | undefined {
  return id.low === UNKNOWN_INODE && id.high === 0 ? undefined : opaqueToBigInt(id);
}
