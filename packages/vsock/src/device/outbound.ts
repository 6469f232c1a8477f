/** Bytes toward the guest that one connection has taken from its host: a small queue in host memory, and what is being written now. */

/** Size of a block of the queue in bytes. */
const BLOCK = 16_384;

interface Block {
  readonly bytes: Uint8Array;
  start: number;
  end: number;
}

export class Outbound {
  readonly #limit: number;
  readonly #blocks: Block[] = [];
  #queued = 0;
  #writing: Block | undefined;

  /** @param limit most bytes to keep. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get queued(): number {
    return this.#queued;
  }

  get room(): number {
    return this.#limit - this.#queued;
  }

  /** Offers the host's own bytes behind the queue; they are not kept. */
  beginWrite(bytes: Uint8Array): void {
    this.#writing = { bytes, start: 0, end: bytes.length };
  }

  /** Keeps what fits of the offered rest; how many bytes of it were not taken. */
  endWrite(): number {
    const writing = this.#writing;
    this.#writing = undefined;
    if (writing === undefined) return 0;
    const rest = writing.end - writing.start;
    const kept = Math.min(rest, this.room);
    for (let done = 0; done < kept; ) {
      const block = this.#lastBlock(kept - done);
      const count = Math.min(kept - done, block.bytes.length - block.end);
      const from = writing.start + done;
      block.bytes.set(writing.bytes.subarray(from, from + count), block.end);
      block.end += count;
      done += count;
    }
    this.#queued += kept;
    return rest - kept;
  }

  /** The next run of at most `most` bytes, and takes it out; `undefined` when there is none. */
  take(most: number): Uint8Array | undefined {
    const block = this.#blocks[0];
    const source = block ?? this.#writing;
    if (source === undefined || source.start === source.end) return undefined;
    const count = Math.min(most, source.end - source.start);
    const whole = source.start === 0 && count === source.bytes.length;
    const run = whole ? source.bytes : source.bytes.subarray(source.start, source.start + count);
    source.start += count;
    if (block !== undefined) {
      this.#queued -= count;
      if (block.start === block.end) this.#blocks.shift();
    }
    return run;
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#queued = 0;
    if (this.#writing !== undefined) this.#writing.start = this.#writing.end;
  }

  #lastBlock(bytes: number): Block {
    const last = this.#blocks[this.#blocks.length - 1];
    if (last !== undefined && last.end < last.bytes.length) return last;
    const block: Block = { bytes: new Uint8Array(Math.max(BLOCK, bytes)), start: 0, end: 0 };
    this.#blocks.push(block);
    return block;
  }
}
