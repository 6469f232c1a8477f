/**
 * Reading. Bytes come from the device in blocks of the file cache, or, where nothing may be cached, straight to where
 * they are wanted. What is cached is believed while the file's attributes are; then one GETATTR, shared by all who ask,
 * tells whether it still is.
 */
import { Errno } from "@toril/virtio/platform";
import type { FilePiece } from "../file-calls.ts";
import type { Cancellation } from "./cancellation.ts";
import type { OpenFile } from "./file.ts";
import { BLOCK_SIZE, type Block, type FileCache } from "./file-cache.ts";
import { BUFFER_LIMIT, DATA_ALIGNMENT, type GuestBuffers } from "./guest-buffers.ts";
import type { Operations } from "./operations.ts";
import { pump } from "./pieces.ts";
import { PinnedPiece } from "./pinned-piece.ts";
import type { Segment } from "./replies.ts";
import { MAX_DATA_SEGMENTS } from "./request-slot.ts";
import type { RequestEngine } from "./requests.ts";
import type { Counters } from "./stats.ts";
import type { Tree } from "./tree.ts";

/** Pieces of one large transfer that are in flight at once: enough to keep a device busy, few enough to leave room. */
export const PIECES_IN_FLIGHT = 4;

export interface FileReaderOptions {
  readonly engine: RequestEngine;
  readonly operations: Operations;
  readonly tree: Tree;
  readonly cache: FileCache;
  readonly buffers: GuestBuffers;
  readonly counters: Counters;
  /** Most bytes in one READ. */
  readonly maxRead: number;
  /** Most segments of data in one chain. */
  readonly maxSegments: number;
}

const AGAIN: number = -Errno.EAGAIN;
type Cancel = Cancellation | undefined;

export class FileReader {
  readonly #engine: RequestEngine;
  readonly #operations: Operations;
  readonly #tree: Tree;
  readonly #cache: FileCache;
  readonly #buffers: GuestBuffers;
  readonly #counters: Counters;
  readonly #maxRead: number;
  readonly #blocksPerRead: number;
  /** Blocks asked for at once on behalf of one call: not so many that they push each other out of the cache. */
  readonly #maxFill: number;

  constructor(options: FileReaderOptions) {
    this.#engine = options.engine;
    this.#operations = options.operations;
    this.#tree = options.tree;
    this.#cache = options.cache;
    this.#buffers = options.buffers;
    this.#counters = options.counters;
    this.#maxRead = options.maxRead;
    const segments = Math.min(options.maxSegments, MAX_DATA_SEGMENTS);
    this.#maxFill = Math.max(1, Math.floor(options.cache.limit / 2 / BLOCK_SIZE));
    this.#blocksPerRead = Math.max(1, Math.min(segments, Math.floor(options.maxRead / BLOCK_SIZE)));
  }

  /** Cached bytes, when they may be believed now; `undefined` at the end of the file; -EAGAIN otherwise. */
  tryPin(file: OpenFile, position: number, length: number): PinnedPiece | undefined | number {
    if (!this.#cacheable(file) || this.#tree.tryStat(file.node) === undefined) return AGAIN;
    const piece = this.#pinCached(file, position, length);
    if (typeof piece === "number") return piece;
    file.readAhead.read(position, piece?.length ?? 0);
    this.#readAhead(file, Math.floor(position / BLOCK_SIZE));
    return piece;
  }

  /** The same, asking the device where needed; outside of the cache when that has no room. */
  async pin(
    file: OpenFile,
    position: number,
    length: number,
    cancel: Cancel,
  ): Promise<PinnedPiece | undefined | number> {
    const piece = this.#cacheable(file) ? await this.#pinFilled(file, position, length, length, cancel) : "no-room";
    return piece === "no-room" ? this.#pinUncached(file, position, length, cancel) : piece;
  }

  /**
   * A cached piece, asking the device where needed; `no-room` when the cache cannot take the block.
   * @param wanted bytes that the caller is going to read from here on, at least `length`
   */
  async #pinFilled(
    file: OpenFile,
    position: number,
    length: number,
    wanted: number,
    cancel: Cancel,
  ): Promise<PinnedPiece | undefined | number | "no-room"> {
    const since = this.#tree.now();
    file.readAhead.read(position, length);
    for (;;) {
      if (cancel?.cancelled === true) return cancel.result;
      const stat = await this.#tree.stat(file.node, file.handle, since, cancel);
      if (typeof stat === "number") return stat;
      const index = Math.floor(position / BLOCK_SIZE);
      let block = this.#cache.find(file.node, index);
      if (block?.state === "ready") {
        const piece = this.#pinBlock(block, position, length);
        if (piece !== AGAIN) {
          this.#readAhead(file, index);
          return piece;
        }
        // The file has grown over what was its last page: fetch that block anew, for the size it has now.
        if (stat.size <= position) return undefined;
        this.#cache.drop(block);
        block = undefined;
      }
      block ??= this.#fill(file, index, Math.ceil((position + wanted) / BLOCK_SIZE) - index, stat.size);
      if (block === undefined) return "no-room";
      block.waiting++;
      const filled = await block.filled;
      const piece = filled < 0 ? filled : this.#pinBlock(block, position, length);
      this.#cache.waited(block);
      if (piece === AGAIN) continue;
      return piece;
    }
  }

  /** Copies file bytes into a private buffer; fewer only at the end of the file. */
  async readInto(file: OpenFile, target: Uint8Array, position: number, cancel: Cancel): Promise<number> {
    if (!this.#cacheable(file)) return this.#readThrough(file, target, position, cancel);
    let done = 0;
    while (done < target.length) {
      const at = position + done;
      const left = target.length - done;
      let piece: PinnedPiece | undefined | number | "no-room" = this.tryPin(file, at, left);
      if (piece === AGAIN) piece = await this.#pinFilled(file, at, left, left, cancel);
      if (piece === undefined) break;
      if (piece === "no-room") {
        const rest = await this.#readThrough(file, target.subarray(done), at, cancel);
        return done > 0 ? done + Math.max(0, rest) : rest;
      }
      if (typeof piece === "number") return done > 0 ? done : piece;
      if (cancel?.cancelled === true) {
        piece.unpin();
        return cancel.result;
      }
      const bytes = piece.buffer.bytes;
      target.set(bytes.subarray(piece.offset, piece.offset + piece.length), done);
      this.#counters.bytesCopied += piece.length;
      done += piece.length;
      piece.unpin();
    }
    return done;
  }

  /** Has the device fill a guest buffer: no copy. The buffer is lent until every piece has come back. */
  async readDirect(file: OpenFile, target: FilePiece, position: number, cancel: Cancel): Promise<number> {
    target.buffer.lendToWrite();
    const address = target.buffer.address + target.offset;
    const total = await pump(target.length, this.#maxRead, PIECES_IN_FLIGHT, cancel, (offset, length) =>
      this.#request(file, position + offset, [{ address: address + offset, length }], cancel),
    );
    return this.#buffers.reclaim(target.buffer) ? total : Math.min(total, -Errno.EIO);
  }

  /** Through guest buffers that serve for the passage only. */
  #readThrough(file: OpenFile, target: Uint8Array, position: number, cancel: Cancel): Promise<number> {
    const piece = Math.min(BUFFER_LIMIT, this.#maxRead);
    return pump(target.length, piece, PIECES_IN_FLIGHT, cancel, async (offset, length) => {
      const buffer = await this.#buffers.take(length, cancel);
      if (typeof buffer === "number") return buffer;
      buffer.lendToWrite();
      const count = await this.#request(file, position + offset, [{ address: buffer.address, length }], cancel);
      if (!this.#buffers.reclaim(buffer)) return Math.min(count, -Errno.EIO);
      // After a cancellation the call is over, and `target` the caller's again.
      if (count > 0 && cancel?.cancelled !== true) {
        target.set(buffer.bytes.subarray(0, count), offset);
        this.#counters.bytesCopied += count;
      }
      this.#buffers.put(buffer);
      return count;
    });
  }

  /** A piece outside of the cache: nothing of it may be kept, or the cache has no room. */
  async #pinUncached(
    file: OpenFile,
    position: number,
    length: number,
    cancel: Cancel,
  ): Promise<PinnedPiece | undefined | number> {
    const size = Math.min(length, BUFFER_LIMIT, this.#maxRead);
    const buffer = await this.#buffers.take(size, cancel, "lasting");
    if (typeof buffer === "number") return buffer;
    buffer.lendToWrite();
    const count = await this.#request(file, position, [{ address: buffer.address, length: size }], cancel);
    if (!this.#buffers.reclaim(buffer)) return Math.min(count, -Errno.EIO);
    if (count <= 0) {
      this.#buffers.put(buffer);
      return count === 0 ? undefined : count;
    }
    const piece = new PinnedPiece(buffer, 0, count);
    buffer.retire(); // its memory goes back with the last loan
    return piece;
  }

  #cacheable(file: OpenFile): boolean {
    // A device that cannot give a block at once (max_pages below 16) is read without the cache.
    return this.#tree.mode !== "none" && !file.directIo && this.#maxRead >= BLOCK_SIZE;
  }

  #pinCached(file: OpenFile, position: number, length: number): PinnedPiece | undefined | number {
    const block = this.#cache.find(file.node, Math.floor(position / BLOCK_SIZE));
    return block?.state === "ready" ? this.#pinBlock(block, position, length) : AGAIN;
  }

  /** From a filled block. `undefined`: the file ended before. -EAGAIN: the block is full, what follows is not known. */
  #pinBlock(block: Block, position: number, length: number): PinnedPiece | undefined | number {
    const offset = position - block.start;
    if (offset >= block.valid) return block.valid < block.capacity ? undefined : AGAIN;
    this.#counters.blockHits++;
    this.#cache.touch(block);
    return new PinnedPiece(block.buffer, offset, Math.min(length, block.valid - offset));
  }

  #readAhead(file: OpenFile, index: number): void {
    const stat = file.node.attributes.stat;
    if (stat === undefined) return;
    const blocks = file.readAhead.plan(index);
    if (blocks <= 1) return;
    const last = Math.floor(stat.size / BLOCK_SIZE);
    for (let ahead = index + 1; ahead < index + blocks && ahead <= last; ahead++) {
      if (this.#cache.find(file.node, ahead) !== undefined) continue;
      this.#counters.readAheadBlocks++;
      this.#fill(file, ahead, index + blocks - ahead, stat.size);
    }
  }

  /**
   * Starts to fill missing blocks from `index` on, at most `count`, at least the first; in requests as large as allowed.
   * @returns the first block, or `undefined` when there is no room even for that
   */
  #fill(file: OpenFile, index: number, count: number, size: number): Block | undefined {
    const last = Math.max(index, Math.floor(size / BLOCK_SIZE));
    const planned = Math.min(Math.max(count, file.readAhead.plan(index)), this.#maxFill);
    let first: Block | undefined;
    let group: Block[] = [];
    for (let i = index; i < index + planned && i <= last; i++) {
      const block = this.#cache.find(file.node, i) === undefined ? this.#reserve(file, i, size) : undefined;
      if (block === undefined) break;
      first ??= block;
      group.push(block);
      if (group.length < this.#blocksPerRead) continue;
      this.#start(file, group);
      group = [];
    }
    if (group.length > 0) this.#start(file, group);
    return first;
  }

  /** The last block gets one byte more than the size asks for, so that a short answer proves the end of the file. */
  #reserve(file: OpenFile, index: number, size: number): Block | undefined {
    const bytes = Math.min(Math.max(0, size - index * BLOCK_SIZE) + 1, BLOCK_SIZE);
    const capacity = Math.ceil(bytes / DATA_ALIGNMENT) * DATA_ALIGNMENT;
    this.#counters.blockMisses++;
    return this.#cache.reserve(file.node, index, capacity);
  }

  #start(file: OpenFile, group: readonly Block[]): void {
    const filled = this.#run(file, group);
    for (const block of group) block.filled = filled;
  }

  /** One READ for a run of blocks. Never rejects; nobody may be waiting. */
  async #run(file: OpenFile, group: readonly Block[]): Promise<number> {
    const segments = group.map((block) => ({ address: block.buffer.address, length: block.capacity }));
    const count = await this.#request(file, group[0]?.start ?? 0, segments, undefined);
    let left = count;
    for (const block of group) {
      const valid = count < 0 ? count : Math.min(block.capacity, left);
      this.#cache.filled(block, valid, this.#engine.buffersBack);
      left -= valid;
      const stat = block.node.attributes.stat;
      // Fewer bytes than the size promised: the file has shrunk, and its attributes are out of date.
      if (valid >= 0 && valid < block.capacity && stat !== undefined && block.start + valid < stat.size) {
        block.node.attributes.expire();
      }
    }
    this.#buffers.retry();
    return Math.min(count, 0);
  }

  async #request(file: OpenFile, position: number, into: readonly Segment[], cancel: Cancel): Promise<number> {
    file.begin();
    const count = await this.#operations.read(file.node.id, file.handle, file.flags, position, into, cancel);
    file.end();
    if (count > 0) this.#counters.bytesRead += count;
    return count;
  }
}
