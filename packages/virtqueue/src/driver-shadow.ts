/**
 * What a driver remembers about its descriptors. The device can write to guest memory, so the driver never reads its own
 * descriptors back: this private copy says which are free, which chains are in flight, and what each may return.
 *
 * One object per descriptor, linked to lists by index. (Typed arrays are no faster, and links to objects slower: each
 * store of one tells the garbage collector.)
 */
import { MAX_LENGTH } from "./numbers.ts";

/** Publications are counted in a small integer, from 2; 1 is one long ago. */
const LAST_PUBLICATION = 0x3fff_ffff;
const LONG_AGO = 1;
const NOT_IN_FLIGHT = 0;

/** The shadow of one descriptor. All but `next` mean something at the head of a chain in flight only. */
export class Slot<Token> {
  /** The next free descriptor, or the next one of its chain. */
  next = 0;
  /**
   * The publication that shows the chain to the device: while that is the next one, the device can't know the chain.
   * NOT_IN_FLIGHT: no chain in flight starts here.
   */
  publication: number = NOT_IN_FLIGHT;
  /** How many descriptors the chain holds, and the last of them, when there are several. */
  held = 0;
  last = 0;
  /** How many bytes the device may write. */
  writable = 0;
  token: Token | undefined = undefined;
}

export class DriverShadow<Token> {
  readonly #slots: readonly Slot<Token>[];
  /** The descriptor that the next chain starts at, when `free` is not 0; the other free ones follow by `next`. */
  firstFree = 0;
  free = 0;
  /** The number of the next publication, and the one after which counting starts anew. */
  #publication: number = LONG_AGO + 1;
  readonly #lastPublication: number = 0;

  /** @param lastPublication where the count of publications starts anew; a test makes it small. */
  constructor(size: number, lastPublication: number = LAST_PUBLICATION) {
    this.#slots = Array.from({ length: size }, () => new Slot<Token>());
    this.#lastPublication = lastPublication;
    this.#linkAll();
  }

  /** The descriptor after `index`, on the free list or in its chain. */
  after(index: number): number {
    return this.#slot(index).next;
  }

  /** Takes the first free descriptor for a chain, and returns it. There is one. */
  takeOne(writable: number, token: Token): number {
    const head = this.firstFree;
    const slot = this.#slot(head);
    this.firstFree = slot.next;
    this.free--;
    slot.publication = this.#publication;
    slot.held = 1;
    slot.writable = writable;
    slot.token = token;
    return head;
  }

  /** Takes the first `held` free descriptors, up to `last`, for a chain, and returns its head. There are so many. */
  take(held: number, last: number, writable: number, token: Token): number {
    const after = this.after(last);
    const head = this.takeOne(Math.min(writable, MAX_LENGTH), token);
    const slot = this.#slot(head);
    slot.held = held;
    slot.last = last;
    this.firstFree = after;
    this.free -= held - 1;
    return head;
  }

  /** The chain in flight that starts at descriptor `id` and has been shown to the device, if there is one. */
  shown(id: number): Slot<Token> | undefined {
    if (id >= this.#slots.length) return undefined;
    const slot = this.#slot(id);
    return slot.publication === NOT_IN_FLIGHT || slot.publication === this.#publication ? undefined : slot;
  }

  /** Frees the descriptors of the chain at `id`, whose slot is `slot`; returns its token. */
  release(id: number, slot: Slot<Token>): Token | undefined {
    const { token, held } = slot;
    slot.token = undefined;
    slot.publication = NOT_IN_FLIGHT;
    const last = held === 1 ? slot : this.#slot(slot.last);
    last.next = this.firstFree;
    this.firstFree = id;
    this.free += held;
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
    for (const slot of this.#slots) {
      if (slot.token !== undefined) tokens.push(slot.token);
      slot.token = undefined;
      slot.publication = NOT_IN_FLIGHT;
    }
    this.#linkAll();
    return tokens;
  }

  /** `index` is one of ours, or was checked. */
  #slot(index: number): Slot<Token> {
    return this.#slots[index] as Slot<Token>;
  }

  #startCountingAnew(): void {
    for (const slot of this.#slots) if (slot.publication !== NOT_IN_FLIGHT) slot.publication = LONG_AGO;
    this.#publication = LONG_AGO + 1;
  }

  #linkAll(): void {
    let next = 0;
    for (const slot of this.#slots) slot.next = ++next;
    this.firstFree = 0;
    this.free = this.#slots.length;
  }
}
