/**
 * The file cache: blocks of files in guest memory, filled by the device itself, lent to whoever reads or sends them.
 *
 * A block is a buffer with an owner like any other (@toril/memory): lent to write while the device fills it, lent to
 * read while somebody has it pinned. So a pinned block cannot be evicted, and a block that is dropped while it is pinned
 * is freed when the last pin ends. The cache holds at most `limit` bytes; the block not used for longest goes first.
 */
import type { DmaAllocator, DmaBuffer } from "@toril/memory";
import { DATA_ALIGNMENT } from "./guest-buffers.ts";
import type { Node } from "./nodes.ts";
import type { Counters } from "./stats.ts";

/** Bytes of a file in one block, aligned in the file. The last block of a file takes only the pages it needs. */
export const BLOCK_SIZE = 65_536;

export class Block {
  readonly node: Node;
  /** The block's place in its file: its first byte is at `index` × BLOCK_SIZE. */
  readonly index: number;
  readonly buffer: DmaBuffer;
  /** `dropped`: out of the cache; those who waited for the fill may still read it. */
  state: "filling" | "ready" | "dropped" = "filling";
  /** Bytes of the file that are here, from the block's start on. */
  valid = 0;
  /** 0 when filled, or a negative errno. */
  filled: Promise<number> = Promise.resolve(0);
  /** Calls that wait for the fill and will read from the block, dropped or not. */
  waiting = 0;
  /** The fill has ended. */
  settled = false;
  newer: Block | undefined;
  older: Block | undefined;

  constructor(node: Node, index: number, buffer: DmaBuffer) {
    this.node = node;
    this.index = index;
    this.buffer = buffer;
  }

  get start(): number {
    return this.index * BLOCK_SIZE;
  }

  get capacity(): number {
    return this.buffer.length;
  }
}

export class FileCache {
  readonly limit: number;
  readonly #allocator: DmaAllocator;
  readonly #counters: Counters;
  readonly #files = new Map<Node, Map<number, Block>>();
  /** Dropped, but somebody still has them: their memory counts until it is free. */
  readonly #lingering = new Set<Block>();
  #newest: Block | undefined;
  #oldest: Block | undefined;
  #bytes = 0;
  #blocks = 0;

  /** @param limit bytes of guest memory, blocks on loan included */
  constructor(allocator: DmaAllocator, limit: number, counters: Counters) {
    this.#allocator = allocator;
    this.limit = limit;
    this.#counters = counters;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(node: Node, index: number): Block | undefined {
    return this.#files.get(node)?.get(index);
  }

  /** The block was used. */
  touch(block: Block): void {
    if (this.#newest === block || block.state === "dropped") return;
    this.#unlink(block);
    this.#link(block);
  }

  /**
   * A new block, lent to write: have the device fill it, then call `filled`. `undefined` when there is no room.
   * @param capacity bytes, a multiple of 4,096 up to BLOCK_SIZE
   */
  reserve(node: Node, index: number, capacity: number): Block | undefined {
    if (!this.#makeRoom(capacity)) return undefined;
    let buffer = this.#allocator.allocateDma(capacity, DATA_ALIGNMENT);
    while (buffer === undefined && this.#evictOne()) buffer = this.#allocator.allocateDma(capacity, DATA_ALIGNMENT);
    if (buffer === undefined) return undefined;
    this.#bytes += capacity;
    this.#counters.cachedBytes = this.#bytes;
    const block = new Block(node, index, buffer);
    buffer.lendToWrite();
    let blocks = this.#files.get(node);
    if (blocks === undefined) {
      blocks = new Map();
      this.#files.set(node, blocks);
    }
    blocks.set(index, block);
    this.#link(block);
    return block;
  }

  /**
   * The device has answered.
   * @param valid bytes that came, or a negative errno: then the block goes
   * @param buffersBack `false` when the device may still write it: the block's memory is lost
   */
  filled(block: Block, valid: number, buffersBack: boolean): void {
    block.settled = true;
    if (!buffersBack) {
      this.#remove(block);
      return;
    }
    block.buffer.giveBack();
    block.valid = Math.max(0, valid);
    if (block.state === "filling" && valid >= 0) block.state = "ready";
    else if (block.state === "filling") this.#drop(block);
    else this.#letGo(block);
  }

  /** One who waited for the fill has what he needs. */
  waited(block: Block): void {
    block.waiting--;
    if (block.state === "dropped") this.#letGo(block);
  }

  /** Drops what is cached of a file: it changed, or it is gone. */
  dropFile(node: Node): void {
    const blocks = this.#files.get(node);
    if (blocks === undefined) return;
    for (const block of [...blocks.values()]) {
      this.#counters.blocksInvalidated++;
      this.#drop(block);
    }
  }

  /** Drops the blocks that have bytes from `start` up to `end`. */
  dropRange(node: Node, start: number, end: number): void {
    const blocks = this.#files.get(node);
    if (blocks === undefined) return;
    for (const block of [...blocks.values()]) {
      if (block.start >= end || block.start + BLOCK_SIZE <= start) continue;
      this.#counters.blocksInvalidated++;
      this.#drop(block);
    }
  }

  /** Drops one block. */
  drop(block: Block): void {
    if (block.state !== "dropped") this.#drop(block);
  }

  /** Frees at least `bytes`; `false` when less could go. */
  shed(bytes: number): boolean {
    const goal = this.#bytes - bytes;
    this.#sweep();
    while (this.#bytes > goal) if (!this.#evictOne()) return false;
    return true;
  }

  /** Drops everything. */
  clear(): void {
    for (const node of [...this.#files.keys()]) this.dropFile(node);
  }

  #makeRoom(bytes: number): boolean {
    if (bytes > this.limit) return false;
    if (this.#bytes + bytes > this.limit) this.#sweep();
    while (this.#bytes + bytes > this.limit) if (!this.#evictOne()) return false;
    return true;
  }

  /** Evicts the block not used for longest that nobody has; `false` when there is none. */
  #evictOne(): boolean {
    let block = this.#oldest;
    // Each block is looked at once: those in use move to the front.
    for (let i = this.#blocks; i > 0 && block !== undefined; i--) {
      const next = block.newer;
      if (block.state === "ready" && block.waiting === 0 && block.buffer.state === "owned") {
        this.#counters.blocksEvicted++;
        this.#drop(block);
        return true;
      }
      this.touch(block);
      block = next;
    }
    return false;
  }

  #drop(block: Block): void {
    this.#remove(block);
    this.#letGo(block);
  }

  /** Takes a block out of the cache; its memory stays. */
  #remove(block: Block): void {
    if (block.state === "dropped") return;
    block.state = "dropped";
    this.#unlink(block);
    const blocks = this.#files.get(block.node);
    blocks?.delete(block.index);
    if (blocks?.size === 0) this.#files.delete(block.node);
    this.#lingering.add(block);
  }

  /** Frees a dropped block's memory once the device is done and nobody waits; its last pin may still hold it. */
  #letGo(block: Block): void {
    if (!block.settled || block.waiting > 0 || !this.#lingering.has(block)) return;
    if (block.buffer.state !== "freed") block.buffer.retire();
    if (block.buffer.state === "freed") this.#freed(block);
  }

  /** Counts out what has been freed since. */
  #sweep(): void {
    for (const block of this.#lingering) if (block.buffer.state === "freed") this.#freed(block);
  }

  #freed(block: Block): void {
    this.#lingering.delete(block);
    this.#bytes -= block.capacity;
    this.#counters.cachedBytes = this.#bytes;
  }

  #link(block: Block): void {
    block.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = block;
    this.#newest = block;
    this.#oldest ??= block;
    this.#blocks++;
  }

  #unlink(block: Block): void {
    if (block.newer !== undefined) block.newer.older = block.older;
    if (block.older !== undefined) block.older.newer = block.newer;
    if (this.#newest === block) this.#newest = block.older;
    if (this.#oldest === block) this.#oldest = block.newer;
    block.newer = undefined;
    block.older = undefined;
    this.#blocks--;
  }
}
