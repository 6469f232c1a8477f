/** Bytes toward the guest that one connection has taken from its host: a small queue in host memory, and what is being written now. */
import { Fifo } from "../connection/fifo.ts";
import { BLOCK, type BlockPool } from "./block-pool.ts";

const NO_BYTES = new Uint8Array(0);

export class Outbound {
  readonly #limit: number;
  readonly #pool: BlockPool;
  readonly #blocks: Fifo<Uint8Array> = new Fifo();
  /** Where unsent bytes start in the first block, and where they end in the last. */
  #start = 0;
  #end = 0;
  #queued = 0;
  /** The host's own bytes, while they are offered; those before `#writtenTo` are taken. */
  #writing: Uint8Array = NO_BYTES;
  #writtenTo = 0;

  /** @param limit most bytes to keep. */
  constructor(limit: number, pool: BlockPool) {
    this.#limit = limit;
    this.#pool = pool;
  }

  get queued(): number {
    return this.#queued;
  }

  get room(): number {
    return this.#limit - this.#queued;
  }

  /** Offers the host's own bytes behind the queue; they are not kept. */
  beginWrite(bytes: Uint8Array): void {
    this.#writing = bytes;
    this.#writtenTo = 0;
  }

  /** Keeps what fits of the offered rest; how many bytes of it were not taken. */
  endWrite(): number {
    const bytes = this.#writing;
    this.#writing = NO_BYTES;
    const rest = bytes.length - this.#writtenTo;
    const kept = Math.min(rest, this.room);
    for (let done = 0; done < kept; ) {
      const block = this.#lastBlock();
      const count = Math.min(kept - done, BLOCK - this.#end);
      const from = this.#writtenTo + done;
      block.set(bytes.subarray(from, from + count), this.#end);
      this.#end += count;
      done += count;
    }
    this.#queued += kept;
    this.#writtenTo = 0;
    return rest - kept;
  }

  /** The next run of at most `most` bytes, and takes it out: good until the next write. `undefined` when there is none. */
  take(most: number): Uint8Array | undefined {
    const block = this.#blocks.first;
    return block === undefined ? this.#takeOffered(most) : this.#takeQueued(block, most);
  }

  clear(): void {
    for (let block = this.#blocks.shift(); block !== undefined; block = this.#blocks.shift()) this.#pool.put(block);
    this.#start = 0;
    this.#queued = 0;
    this.#writtenTo = this.#writing.length;
  }

  #takeOffered(most: number): Uint8Array | undefined {
    const bytes = this.#writing;
    const from = this.#writtenTo;
    if (from === bytes.length) return undefined;
    const to = Math.min(bytes.length, from + most);
    this.#writtenTo = to;
    return from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
  }

  #takeQueued(block: Uint8Array, most: number): Uint8Array {
    const from = this.#start;
    const end = this.#blocks.length === 1 ? this.#end : BLOCK;
    const to = Math.min(end, from + most);
    this.#queued -= to - from;
    this.#start = to;
    if (to === end) {
      this.#blocks.shift();
      this.#pool.put(block);
      this.#start = 0;
    }
    return block.subarray(from, to);
  }

  #lastBlock(): Uint8Array {
    const { last } = this.#blocks;
    if (last !== undefined && this.#end < BLOCK) return last;
    const block = this.#pool.take();
    this.#blocks.push(block);
    this.#end = 0;
    return block;
  }
}
