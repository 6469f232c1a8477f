/** The bytes of one file in memory: sparse, in chunks, counted against the space of the whole file system. */
import { Errno, SystemError } from "@toril/virtio/platform";

/** Bytes per chunk: what a hole is made of, and what is allocated at a time. */
export const CHUNK_SIZE = 65_536;

/** Space that all files of a file system share. */
export class Space {
  readonly limit: number;
  #used = 0;

  /** @param limit in bytes; whole chunks count. */
  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** @throws SystemError ENOSPC */
  take(bytes: number): void {
    if (this.#used + bytes > this.limit) throw new SystemError(Errno.ENOSPC, "write", `${this.limit} bytes are in use`);
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

export class FileData {
  readonly #space: Space;
  readonly #chunks = new Map<number, Uint8Array>();
  #size = 0;

  constructor(space: Space) {
    this.#space = space;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes that are allocated: holes take none. */
  get allocated(): number {
    return this.#chunks.size * CHUNK_SIZE;
  }

  /** Fills the targets from `offset` on; returns how many bytes there were. */
  read(offset: number, targets: readonly Uint8Array[]): number {
    let done = 0;
    for (const target of targets) {
      const left = this.#size - offset - done;
      if (left <= 0) break;
      const wanted = Math.min(target.length, left);
      this.#readInto(offset + done, target, wanted);
      done += wanted;
    }
    return done;
  }

  /**
   * Writes what fits; returns how many bytes that were.
   * @throws SystemError ENOSPC when not a single one fitted.
   */
  write(offset: number, sources: readonly Uint8Array[]): number {
    let done = 0;
    for (const source of sources) {
      for (let from = 0; from < source.length; ) {
        const at = offset + done;
        const within = at % CHUNK_SIZE;
        const length = Math.min(source.length - from, CHUNK_SIZE - within);
        const chunk = this.#chunkToWrite(at, done);
        if (chunk === undefined) return done;
        chunk.set(source.subarray(from, from + length), within);
        from += length;
        done += length;
        this.#size = Math.max(this.#size, offset + done);
      }
    }
    return done;
  }

  /** Cuts off, or makes longer with a hole. */
  truncate(size: number): void {
    if (size < this.#size) this.#zero(size, this.#size);
    this.#size = size;
  }

  /** Zeroes a range and gives its whole chunks back. The size stays. */
  punch(offset: number, length: number): void {
    this.#zero(offset, Math.min(offset + length, this.#size));
  }

  /** @throws SystemError ENOSPC; then nothing has changed. */
  allocate(offset: number, length: number): void {
    const first = Math.floor(offset / CHUNK_SIZE);
    const end = Math.ceil((offset + length) / CHUNK_SIZE);
    // Before the loop: a guest may ask for more chunks than there are bytes of memory.
    const missing = end - first - this.#chunksIn(first, end);
    this.#space.take(missing * CHUNK_SIZE);
    for (let i = first; i < end; i++) {
      if (!this.#chunks.has(i)) this.#chunks.set(i, new Uint8Array(CHUNK_SIZE));
    }
  }

  /** The next offset from `offset` on that is data, or that is a hole (the end of the file counts as one). */
  find(what: "data" | "hole", offset: number): number | undefined {
    if (offset >= this.#size) return undefined;
    if (what === "hole") {
      let at = offset;
      while (at < this.#size && this.#chunks.has(Math.floor(at / CHUNK_SIZE))) at = nextChunk(at);
      return Math.min(at, this.#size);
    }
    // Over the chunks that are there, not over the holes: a sparse file may be petabytes long.
    let best: number | undefined;
    for (const index of this.#chunks.keys()) {
      const at = Math.max(index * CHUNK_SIZE, offset);
      if ((index + 1) * CHUNK_SIZE > offset && at < this.#size && (best === undefined || at < best)) best = at;
    }
    return best;
  }

  /** The file is gone. */
  free(): void {
    this.#space.give(this.allocated);
    this.#chunks.clear();
    this.#size = 0;
  }

  #readInto(offset: number, target: Uint8Array, length: number): void {
    for (let done = 0; done < length; ) {
      const at = offset + done;
      const within = at % CHUNK_SIZE;
      const run = Math.min(length - done, CHUNK_SIZE - within);
      const chunk = this.#chunks.get(Math.floor(at / CHUNK_SIZE));
      if (chunk === undefined) target.fill(0, done, done + run);
      else target.set(chunk.subarray(within, within + run), done);
      done += run;
    }
  }

  #chunkToWrite(at: number, done: number): Uint8Array | undefined {
    const index = Math.floor(at / CHUNK_SIZE);
    const existing = this.#chunks.get(index);
    if (existing !== undefined) return existing;
    if (done > 0 && this.#space.used + CHUNK_SIZE > this.#space.limit) return undefined;
    this.#space.take(CHUNK_SIZE);
    const chunk = new Uint8Array(CHUNK_SIZE);
    this.#chunks.set(index, chunk);
    return chunk;
  }

  #chunksIn(first: number, end: number): number {
    let count = 0;
    for (const index of this.#chunks.keys()) if (index >= first && index < end) count++;
    return count;
  }

  #zero(from: number, to: number): void {
    for (const [index, chunk] of this.#chunks) {
      const start = index * CHUNK_SIZE;
      if (start + CHUNK_SIZE <= from || start >= to) continue;
      const whole = start >= from && (start + CHUNK_SIZE <= to || to >= this.#size);
      if (whole) {
        this.#chunks.delete(index);
        this.#space.give(CHUNK_SIZE);
      } else {
        chunk.fill(0, Math.max(from - start, 0), Math.min(to - start, CHUNK_SIZE));
      }
    }
  }
}

function nextChunk(at: number): number {
  return (Math.floor(at / CHUNK_SIZE) + 1) * CHUNK_SIZE;
}
