/** What `pin` hands out. */
import type { DmaBuffer } from "@toril/memory";
import type { FilePiece } from "../file-calls.ts";

/** A piece of file data that a caller has until `unpin`: one loan of its buffer. */
export class PinnedPiece implements FilePiece {
  readonly buffer: DmaBuffer;
  readonly offset: number;
  readonly length: number;
  #pinned = true;

  constructor(buffer: DmaBuffer, offset: number, length: number) {
    this.buffer = buffer;
    this.offset = offset;
    this.length = length;
    buffer.lendToRead();
  }

  /** @throws TypeError when unpinned twice */
  unpin(): void {
    if (!this.#pinned) throw new TypeError("this piece of a file was unpinned before");
    this.#pinned = false;
    this.buffer.giveBack();
  }
}
