/**
 * What one connection has taken from its user and not yet handed to the ring, in order. The last packet takes further
 * small writes until it is handed over.
 */
import type { SendChunk } from "./packet.ts";

/** Chunks that have left stay in the array up to this many, so that leaving costs nothing. */
const MAX_GONE = 64;

export class SendQueue {
  readonly #chunks: SendChunk[] = [];
  #head = 0;
  #lent = 0;

  /** Bytes of lent buffers that wait here. */
  get lent(): number {
    return this.#lent;
  }

  get count(): number {
    return this.#chunks.length - this.#head;
  }

  get first(): SendChunk | undefined {
    return this.#chunks[this.#head];
  }

  /** The packet that more bytes can be appended to: the last one, while none of it is handed over and it has room. */
  get tail(): SendChunk | undefined {
    const last = this.#chunks[this.#chunks.length - 1];
    if (last === undefined || last.sent > 0 || last.over || last.source.kind !== "packet") return undefined;
    return last.length < last.source.buffer.capacity ? last : undefined;
  }

  add(chunk: SendChunk): void {
    if (chunk.source.kind === "lent") this.#lent += chunk.length;
    this.#chunks.push(chunk);
  }

  /** `bytes` of the first chunk were handed over; it leaves when that was its rest. */
  advance(bytes: number): void {
    const chunk = this.#chunks[this.#head];
    if (chunk === undefined) return;
    chunk.sent += bytes;
    if (chunk.source.kind === "lent") this.#lent -= bytes;
    if (chunk.remaining > 0) return;
    chunk.over = true;
    this.#head++;
    if (this.#head < this.#chunks.length && this.#head < MAX_GONE) return;
    this.#chunks.splice(0, this.#head);
    this.#head = 0;
  }

  /** Takes all chunks out: nothing more of them will be sent. */
  drop(): SendChunk[] {
    const dropped = this.#chunks.splice(0).slice(this.#head);
    this.#head = 0;
    this.#lent = 0;
    for (const chunk of dropped) chunk.over = true;
    return dropped;
  }
}
