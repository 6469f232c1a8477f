/**
 * Which of our packets the peer's user has not consumed yet: the value of tx_cnt after each. A packet is retired when
 * fwd_cnt has reached its end.
 */

/** Most packets of one connection in flight, whatever the peer's window: bounds the memory of this record (4 KiB). */
export const MAX_PACKETS_IN_FLIGHT = 1024;
const FIRST_CAPACITY = 8;

/** A ring of 32-bit counters that grows by doubling up to the maximum. */
export class PacketsInFlight {
  #ends: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === MAX_PACKETS_IN_FLIGHT;
  }

  /** @throws RangeError when full: ask first. */
  add(end: number): void {
    if (this.#count === this.#ends.length) this.#grow();
    this.#ends[(this.#head + this.#count) & (this.#ends.length - 1)] = end;
    this.#count++;
  }

  retire(fwdCnt: number): void {
    const mask = this.#ends.length - 1;
    while (this.#count > 0) {
      const end = this.#ends[this.#head] ?? 0;
      if (((fwdCnt - end) | 0) < 0) return;
      this.#head = (this.#head + 1) & mask;
      this.#count--;
    }
  }

  #grow(): void {
    if (this.full) throw new RangeError(`more than ${MAX_PACKETS_IN_FLIGHT} packets in flight`);
    const larger = new Uint32Array(this.#ends.length * 2);
    for (let i = 0; i < this.#count; i++) larger[i] = this.#ends[(this.#head + i) & (this.#ends.length - 1)] ?? 0;
    this.#ends = larger;
    this.#head = 0;
  }
}
