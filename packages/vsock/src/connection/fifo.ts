/** A queue in an array that goes round: no allocation in the steady state, and no element is moved when the first leaves. */

const FIRST_CAPACITY = 8;

export class Fifo<T> {
  #ring: (T | undefined)[] = new Array<T | undefined>(FIRST_CAPACITY).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get first(): T | undefined {
    return this.#ring[this.#head];
  }

  get last(): T | undefined {
    return this.#length === 0 ? undefined : this.at(this.#length - 1);
  }

  /** The element `i` places behind the first; only below `length`. */
  at(i: number): T | undefined {
    return this.#ring[(this.#head + i) & (this.#ring.length - 1)];
  }

  push(element: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = element;
    this.#length++;
  }

  shift(): T | undefined {
    const element = this.#ring[this.#head];
    if (this.#length === 0) return undefined;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return element;
  }

  #grow(): void {
    const larger = new Array<T | undefined>(this.#ring.length * 2).fill(undefined);
    for (let i = 0; i < this.#length; i++) larger[i] = this.at(i);
    this.#ring = larger;
    this.#head = 0;
  }
}
