/**
 * What a driver remembers about its descriptors. The device can write to guest memory, so the driver never reads its own
 * descriptors back: this private copy says which are free, which chains are in flight, and what each may return.
 */

/** A used element's len has 32 bits: it can't claim more than this, however much was writable. */
const MAX_USED_LENGTH = 0xffff_ffff;

export class DriverShadow<Token> {
  readonly #size: number;
  /** Links the free descriptors to a list, and those of a direct chain to each other. */
  readonly #next: Uint16Array;
  /** At a head: how many descriptors its chain holds. 0: no chain in flight starts here. */
  readonly #held: Uint16Array;
  /** At a head: the last descriptor that its chain holds. */
  readonly #last: Uint16Array;
  /** At a head: how many bytes the device may write. */
  readonly #writable: Uint32Array;
  /** At a head: the number of the publication that shows the chain to the device. A double, so it never wraps. */
  readonly #shownBy: Float64Array;
  readonly #tokens: (Token | undefined)[];
  #firstFree = 0;
  #free: number;
  #inFlight = 0;

  constructor(size: number) {
    this.#size = size;
    this.#next = new Uint16Array(size);
    this.#held = new Uint16Array(size);
    this.#last = new Uint16Array(size);
    this.#writable = new Uint32Array(size);
    this.#shownBy = new Float64Array(size);
    this.#tokens = new Array<Token | undefined>(size).fill(undefined);
    this.#free = size;
    this.#linkAll();
  }

  get free(): number {
    return this.#free;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** The descriptor that the next chain starts at, when `free` is not 0. */
  get firstFree(): number {
    return this.#firstFree;
  }

  /** The free descriptor after free descriptor `index`. */
  nextFree(index: number): number {
    return this.#next[index] ?? 0;
  }

  /** Takes the first `held` free descriptors, `last` being the last of them, for a chain. */
  take(held: number, last: number, writable: number, shownBy: number, token: Token): void {
    const head = this.#firstFree;
    this.#firstFree = this.nextFree(last);
    this.#free -= held;
    this.#inFlight++;
    this.#held[head] = held;
    this.#last[head] = last;
    this.#writable[head] = Math.min(writable, MAX_USED_LENGTH);
    this.#shownBy[head] = shownBy;
    this.#tokens[head] = token;
  }

  /** Whether a chain in flight starts at `id` that a publication before `publication` has shown to the device. */
  isShown(id: number, publication: number): boolean {
    return (this.#held[id] ?? 0) !== 0 && (this.#shownBy[id] ?? 0) < publication;
  }

  /** How many bytes the device may write into the chain at `head`. */
  writable(head: number): number {
    return this.#writable[head] ?? 0;
  }

  /** Frees the descriptors of the chain at `head`; returns its token. */
  release(head: number): Token | undefined {
    const token = this.#tokens[head];
    this.#tokens[head] = undefined;
    this.#next[this.#last[head] ?? 0] = this.#firstFree;
    this.#firstFree = head;
    this.#free += this.#held[head] ?? 0;
    this.#held[head] = 0;
    this.#inFlight--;
    return token;
  }

  /** Everything is free again; returns the tokens of the chains that were in flight. */
  reset(): Token[] {
    const tokens: Token[] = [];
    for (const token of this.#tokens) if (token !== undefined) tokens.push(token);
    this.#tokens.fill(undefined);
    this.#held.fill(0);
    this.#free = this.#size;
    this.#inFlight = 0;
    this.#linkAll();
    return tokens;
  }

  #linkAll(): void {
    this.#firstFree = 0;
    for (let i = 0; i < this.#size; i++) this.#next[i] = i + 1;
  }
}
