/** Who wants to do something, first come first served, each at most once: connections that take turns. */

export interface TurnTaker {
  /** Which lists it stands in; kept by `Turns`. */
  turns: number;
}

const FIRST_CAPACITY = 16;

/** A queue without allocation in the steady state. Give each list of the same members its own `bit`. */
export class Turns<T extends TurnTaker> {
  readonly #bit: number;
  #ring: (T | undefined)[] = new Array<T | undefined>(FIRST_CAPACITY).fill(undefined);
  #head = 0;
  #length = 0;

  constructor(bit: number) {
    this.#bit = bit;
  }

  get length(): number {
    return this.#length;
  }

  /** Puts it at the end, unless it stands here already. */
  add(member: T): void {
    if ((member.turns & this.#bit) !== 0) return;
    member.turns |= this.#bit;
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = member;
    this.#length++;
  }

  /** Takes the first. */
  next(): T | undefined {
    if (this.#length === 0) return undefined;
    const member = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    if (member !== undefined) member.turns &= ~this.#bit;
    return member;
  }

  #grow(): void {
    const larger = new Array<T | undefined>(this.#ring.length * 2).fill(undefined);
    for (let i = 0; i < this.#length; i++) larger[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    this.#ring = larger;
    this.#head = 0;
  }
}
