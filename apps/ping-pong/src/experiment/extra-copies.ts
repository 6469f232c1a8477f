/**
 * Two more copies of what was received, as Toro made them in 2023: one byte by byte, as its interrupt handler did, and
 * one of the whole. With the copy of the socket call that is three.
 */
export class ExtraCopies {
  /** Bytes copied here. */
  bytes = 0;
  readonly #first: Uint8Array;
  readonly #second: Uint8Array;

  /** @param size bytes that are received at a time, at most */
  constructor(size: number) {
    this.#first = new Uint8Array(size);
    this.#second = new Uint8Array(size);
  }

  copy(received: Uint8Array): void {
    const { length } = received;
    for (let i = 0; i < length; i++) this.#first[i] = received[i] ?? 0;
    this.#second.set(length === this.#first.length ? this.#first : this.#first.subarray(0, length));
    this.bytes += 2 * length;
  }
}
