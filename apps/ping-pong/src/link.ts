/** A stream of bytes as both event-driven ends see it, and what is on its way out of one. */

export interface Link {
  /**
   * Takes as many bytes as it can now; after less than all of them the end's `drain` is called. What it takes must stay as it
   * is until the other end has it: a socket may keep them for a while.
   */
  write(bytes: Uint8Array): number;
  close(): void;
}

/** One run of bytes at a time, over a link that may take it in pieces. */
export class Outgoing {
  readonly #link: Link;
  readonly #onTaken: () => void;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** @param onTaken the link has taken the last byte */
  constructor(link: Link, onTaken: () => void) {
    this.#link = link;
    this.#onTaken = onTaken;
  }

  get idle(): boolean {
    return this.#at === this.#bytes.length;
  }

  send(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#at = 0;
    this.push();
  }

  /** Goes on; also when there is nothing. */
  push(): void {
    while (this.#at < this.#bytes.length) {
      const taken = this.#link.write(this.#at === 0 ? this.#bytes : this.#bytes.subarray(this.#at));
      if (taken === 0) return;
      this.#at += taken;
      if (this.#at === this.#bytes.length) this.#onTaken();
    }
  }
}

/** A length and so many bytes of JSON, put together from pieces. */
export class JsonReader {
  readonly #lengthOf: (bytes: Uint8Array) => number;
  #bytes: Uint8Array = new Uint8Array(4);
  #filled = 0;
  #part: "length" | "text" = "length";

  /** @param lengthOf reads the length, and checks it */
  constructor(lengthOf: (bytes: Uint8Array) => number) {
    this.#lengthOf = lengthOf;
  }

  /** Takes from `bytes` at `at`; how many. `text` is set once all of it is there. */
  take(bytes: Uint8Array, at: number): number {
    const count = Math.min(bytes.length - at, this.#bytes.length - this.#filled);
    this.#bytes.set(bytes.subarray(at, at + count), this.#filled);
    this.#filled += count;
    if (this.#part === "length" && this.#filled === this.#bytes.length) {
      this.#bytes = new Uint8Array(this.#lengthOf(this.#bytes));
      this.#filled = 0;
      this.#part = "text";
    }
    return count;
  }

  get bytes(): Uint8Array | undefined {
    return this.#part === "text" && this.#filled === this.#bytes.length ? this.#bytes : undefined;
  }
}
