/**
 * What a driver remembers about its descriptors. The device can write to guest memory, so the driver never reads its own
 * descriptors back: this private copy says which are free, which chains are in flight, and what each may return.
 */

/** Publications are counted in a small integer, from 1; 0 is one long ago. */
const LAST_PUBLICATION = 0x3fff_ffff;
const LONG_AGO = 0;

/** A used element's len has 32 bits: it can't claim more than this, however much was writable. */
const MAX_USED_LENGTH = 0xffff_ffff;

/**
 * The shadow of descriptor i is four words from 4 · i on. The first three mean something at the head of a chain in flight:
 *
 * | word | meaning                                                                                          |
 * |------|--------------------------------------------------------------------------------------------------|
 * | 0    | how many descriptors the chain holds (low half), the last of them (high half); 0: none in flight |
 * | 1    | how many bytes the device may write                                                              |
 * | 2    | the publication that shows the chain to the device: while that is the next one, the device can't |
 * |      | know the chain                                                                                   |
 * | 3    | at every descriptor: the next free one, or the next one of its chain                             |
 */
export class DriverShadow<Token> {
  readonly #size: number;
  readonly #words: Uint32Array;
  readonly #tokens: (Token | undefined)[];
  #firstFree = 0;
  #free: number;
  /** The number of the next publication, and the one after which counting starts anew. */
  #publication = LONG_AGO + 1;
  readonly #lastPublication: number;

  /** @param lastPublication where the count of publications starts anew; a test makes it small. */
  constructor(size: number, lastPublication: number = LAST_PUBLICATION) {
    this.#size = size;
    this.#lastPublication = lastPublication;
    this.#words = new Uint32Array(size * 4);
    this.#tokens = new Array<Token | undefined>(size).fill(undefined);
    this.#free = size;
    this.#linkAll();
  }

  get free(): number {
    return this.#free;
  }

  /** The descriptor that the next chain starts at, when `free` is not 0. */
  get firstFree(): number {
    return this.#firstFree;
  }

  /** The free descriptor after free descriptor `index`. */
  nextFree(index: number): number {
    return this.#words[(index << 2) | 3] ?? 0;
  }

  /** Takes the first `held` free descriptors, of which `last` is the last, for a chain; returns its head. */
  take(held: number, last: number, writable: number, token: Token): number {
    const words = this.#words;
    const head = this.#firstFree;
    const at = head << 2;
    this.#firstFree = words[(last << 2) | 3] ?? 0;
    this.#free -= held;
    words[at] = held | (last << 16);
    words[at | 1] = Math.min(writable, MAX_USED_LENGTH);
    words[at | 2] = this.#publication;
    this.#tokens[head] = token;
    return head;
  }

  /** Whether a chain in flight starts at `id`, into which the device may write `length` bytes and which it can know. */
  mayReturn(id: number, length: number): boolean {
    const words = this.#words;
    const at = id << 2;
    return words[at] !== 0 && length <= (words[at | 1] ?? 0) && words[at | 2] !== this.#publication;
  }

  /** Whether a chain in flight starts at `id` that has been shown to the device. */
  isShown(id: number): boolean {
    return this.#words[id << 2] !== 0 && this.#words[(id << 2) | 2] !== this.#publication;
  }

  /** How many bytes the device may write into the chain at `head`. */
  writable(head: number): number {
    return this.#words[(head << 2) | 1] ?? 0;
  }

  /** Frees the descriptors of the chain at `head`; returns its token. */
  release(head: number): Token | undefined {
    const words = this.#words;
    const at = head << 2;
    const extent = words[at] ?? 0;
    const token = this.#tokens[head];
    this.#tokens[head] = undefined;
    words[((extent >>> 16) << 2) | 3] = this.#firstFree;
    words[at] = 0;
    this.#firstFree = head;
    this.#free += extent & 0xffff;
    return token;
  }

  /** All chains in flight have been shown to the device. */
  published(): void {
    this.#publication++;
    if (this.#publication > this.#lastPublication) this.#startCountingAnew();
  }

  /** Everything is free again; returns the tokens of the chains that were in flight. */
  reset(): Token[] {
    const tokens: Token[] = [];
    for (const token of this.#tokens) if (token !== undefined) tokens.push(token);
    this.#tokens.fill(undefined);
    this.#words.fill(0);
    this.#free = this.#size;
    this.#linkAll();
    return tokens;
  }

  #startCountingAnew(): void {
    for (let i = 0; i < this.#size; i++) this.#words[(i << 2) | 2] = LONG_AGO;
    this.#publication = LONG_AGO + 1;
  }

  #linkAll(): void {
    this.#firstFree = 0;
    for (let i = 0; i < this.#size; i++) this.#words[(i << 2) | 3] = i + 1;
  }
}
