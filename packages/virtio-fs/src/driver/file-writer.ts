/**
 * Writing: through to the device, always. Cached blocks that a write touches are dropped before it and after it, so
 * that nobody reads from the cache what the device has replaced.
 */
import { Errno } from "@toril/virtio/platform";
import type { FilePiece } from "../file-calls.ts";
import type { Cancellation } from "./cancellation.ts";
import type { OpenFile } from "./file.ts";
import type { FileCache } from "./file-cache.ts";
import { PIECES_IN_FLIGHT } from "./file-reader.ts";
import { BUFFER_LIMIT, type GuestBuffers } from "./guest-buffers.ts";
import type { Operations } from "./operations.ts";
import { pump } from "./pieces.ts";
import type { Segment } from "./replies.ts";
import type { Counters } from "./stats.ts";
import type { Tree } from "./tree.ts";

type Cancel = Cancellation | undefined;

export interface FileWriterOptions {
  readonly operations: Operations;
  readonly tree: Tree;
  readonly cache: FileCache;
  readonly buffers: GuestBuffers;
  readonly counters: Counters;
  /** Most bytes in one WRITE. */
  readonly maxWrite: number;
}

export class FileWriter {
  readonly #operations: Operations;
  readonly #tree: Tree;
  readonly #cache: FileCache;
  readonly #buffers: GuestBuffers;
  readonly #counters: Counters;
  readonly #maxWrite: number;

  constructor(options: FileWriterOptions) {
    this.#operations = options.operations;
    this.#tree = options.tree;
    this.#cache = options.cache;
    this.#buffers = options.buffers;
    this.#counters = options.counters;
    this.#maxWrite = options.maxWrite;
  }

  /**
   * Writes at `position`; a file opened for appending is written at its end, whatever `position` says.
   * @returns how many bytes were taken and where they ended, or a negative errno
   */
  async write(
    file: OpenFile,
    source: Uint8Array | FilePiece,
    position: number,
    cancel: Cancel,
  ): Promise<{ readonly count: number; readonly end: number } | number> {
    if (!file.appends) return this.#at(file, source, position, PIECES_IN_FLIGHT, cancel);
    // Appends of one file go one after another, and so do their pieces: where each goes follows from the one before.
    return file.inTurn(() => this.#append(file, source, cancel));
  }

  async #append(
    file: OpenFile,
    source: Uint8Array | FilePiece,
    cancel: Cancel,
  ): Promise<{ readonly count: number; readonly end: number } | number> {
    if (cancel?.cancelled === true) return cancel.result;
    file.node.attributes.expire();
    const stat = await this.#tree.stat(file.node, file.handle, this.#tree.now(), cancel);
    if (typeof stat === "number") return stat;
    return this.#at(file, source, stat.size, 1, cancel);
  }

  async #at(
    file: OpenFile,
    source: Uint8Array | FilePiece,
    position: number,
    atOnce: number,
    cancel: Cancel,
  ): Promise<{ readonly count: number; readonly end: number } | number> {
    this.#changing(file, position, source.length);
    const count =
      source instanceof Uint8Array
        ? await this.#copyOut(file, source, position, atOnce, cancel)
        : await this.#lendOut(file, source, position, atOnce, cancel);
    this.#changing(file, position, source.length);
    return count < 0 ? count : { count, end: position + count };
  }

  /** Before and after: answers under way and blocks being filled may be of either side of the write. */
  #changing(file: OpenFile, position: number, length: number): void {
    this.#tree.attributesChanging(file.node);
    if (file.appends) this.#cache.dropFile(file.node);
    else this.#cache.dropRange(file.node, position, position + length);
  }

  /** From the caller's guest buffer: no copy. */
  async #lendOut(file: OpenFile, source: FilePiece, position: number, atOnce: number, cancel: Cancel): Promise<number> {
    source.buffer.lendToRead();
    const address = source.buffer.address + source.offset;
    const count = await pump(source.length, this.#maxWrite, atOnce, cancel, (offset, length) =>
      this.#request(file, position + offset, [{ address: address + offset, length }], cancel),
    );
    return this.#buffers.reclaim(source.buffer) ? count : Math.min(count, -Errno.EIO);
  }

  /** From private memory, through guest buffers. */
  #copyOut(file: OpenFile, source: Uint8Array, position: number, atOnce: number, cancel: Cancel): Promise<number> {
    const piece = Math.min(BUFFER_LIMIT, this.#maxWrite);
    return pump(source.length, piece, atOnce, cancel, async (offset, length) => {
      const buffer = await this.#buffers.take(length, cancel);
      if (typeof buffer === "number") return buffer;
      if (cancel?.cancelled === true) {
        this.#buffers.put(buffer); // the call is over, and `source` the caller's again
        return cancel.result;
      }
      buffer.writable.set(source.subarray(offset, offset + length));
      this.#counters.bytesCopied += length;
      buffer.lendToRead();
      const count = await this.#request(file, position + offset, [{ address: buffer.address, length }], cancel);
      if (!this.#buffers.reclaim(buffer)) return Math.min(count, -Errno.EIO);
      this.#buffers.put(buffer);
      return count;
    });
  }

  async #request(file: OpenFile, position: number, from: readonly Segment[], cancel: Cancel): Promise<number> {
    file.begin();
    const count = await this.#operations.write(file.node.id, file.handle, file.flags, position, from, cancel);
    file.end();
    if (count > 0) this.#counters.bytesWritten += count;
    return count;
  }
}
