/** How far to read ahead in one open file: a pure function of the reads so far. Positions here are block numbers. */

/** Blocks read ahead at the start of a file: most files that are read from the start are read to the end. */
const FIRST_WINDOW = 4;

export class ReadAhead {
  readonly #limit: number;
  /** Byte position where a sequential reader goes on. */
  #next = 0;
  #window = 0;
  /** The first block that was not asked for ahead. */
  #end = 0;

  /** @param limit most blocks ahead; 0 turns reading ahead off */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Notes a read; whether it goes on where the last one ended. */
  read(position: number, length: number): void {
    if (position !== this.#next) {
      this.#window = 0;
      this.#end = 0;
    } else if (this.#window === 0) {
      this.#window = Math.min(FIRST_WINDOW, this.#limit);
    }
    this.#next = position + length;
  }

  /**
   * How many blocks to have asked for from `block` on (itself included), or 0: nothing to do yet. Grows while the
   * reader keeps on, and waits until the reader has used up half of what is there.
   */
  plan(block: number): number {
    if (this.#window === 0) return 0;
    if (block + (this.#window >> 1) < this.#end) return 0;
    if (this.#end > 0) this.#window = Math.min(this.#window * 2, this.#limit);
    this.#end = block + 1 + this.#window;
    return 1 + this.#window;
  }
}
