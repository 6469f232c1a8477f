/**
 * What a file must hold, as far as that can be known: after a write that failed, its bytes may be there or not. Kept byte
 * by byte.
 */

const CERTAIN = 0;
const UNCERTAIN = 1;

export class FileModel {
  readonly #bytes: Uint8Array;
  readonly #doubts: Uint8Array;
  #least = 0;
  #most = 0;

  constructor(maxSize: number) {
    this.#bytes = new Uint8Array(maxSize);
    this.#doubts = new Uint8Array(maxSize);
  }

  /** The largest size that it may have. */
  get largestSize(): number {
    return this.#most;
  }

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    this.#bytes.set(bytes, position);
    this.#doubts.fill(CERTAIN, position, end);
    this.#least = Math.max(this.#least, end);
    this.#most = Math.max(this.#most, end);
  }

  /** A write that failed: any part of it may have happened. */
  maybeWritten(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    this.#doubts.fill(UNCERTAIN, position, end);
    this.#most = Math.max(this.#most, end);
  }

  truncate(size: number): void {
    this.#bytes.fill(0, size);
    this.#doubts.fill(CERTAIN, size);
    this.#least = size;
    this.#most = size;
  }

  maybeTruncated(size: number): void {
    this.#doubts.fill(UNCERTAIN, size);
    this.#least = Math.min(this.#least, size);
    this.#most = Math.max(this.#most, size);
  }

  /** Of `wanted` bytes at `position`, these were read. What cannot be; undefined: it can. */
  problemWith(position: number, wanted: number, read: Uint8Array): string | undefined {
    const least = Math.max(0, Math.min(wanted, this.#least - position));
    const most = Math.max(0, Math.min(wanted, this.#most - position));
    if (read.length < least || read.length > most) return `${read.length} bytes came, ${least} to ${most} are right`;
    for (let i = 0; i < read.length; i++) {
      const at = position + i;
      if (this.#doubts[at] === CERTAIN && read[i] !== this.#bytes[at])
        return `byte ${at} is ${read[i]}, not ${this.#bytes[at]}`;
    }
    return undefined;
  }
}
