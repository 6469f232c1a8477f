/** Blocks of host memory, kept to be used again: a busy connection would otherwise leave one to the collector per 16 KiB. */

/** Size of a block in bytes. */
export const BLOCK = 16_384;

/** What an idle device keeps: 1 MiB. */
const KEPT = 64;

export class BlockPool {
  readonly #blocks: Uint8Array[] = [];

  /** Its content is whatever it was. */
  take(): Uint8Array {
    return this.#blocks.pop() ?? new Uint8Array(BLOCK);
  }

  put(block: Uint8Array): void {
    if (this.#blocks.length < KEPT) this.#blocks.push(block);
  }
}
