/**
 * What one connection has taken from its user and not yet handed to the ring, in order. The last packet takes further
 * small writes until it is handed over.
 */
import { Fifo } from "../connection/fifo.ts";
import type { SendChunk } from "./packet.ts";

export class SendQueue {
  readonly #chunks: Fifo<SendChunk> = new Fifo();
  #lent = 0;

  /** Bytes of lent buffers that wait here. */
  get lent(): number {
    return this.#lent;
  }

  get count(): number {
    return this.#chunks.length;
  }

  get first(): SendChunk | undefined {
    return this.#chunks.first;
  }

  /** The packet that more bytes can be appended to: the last one, while none of it is handed over and it has room. */
  get tail(): SendChunk | undefined {
    const last = this.#chunks.last;
    if (last?.packet === undefined || last.sent > 0 || last.length >= last.packet.capacity) return undefined;
    return last;
  }

  /** The chunk `i` places behind the first. */
  at(i: number): SendChunk | undefined {
    return this.#chunks.at(i);
  }

  /** How many bytes the first `most` chunks have left, up to `limit`. */
  available(most: number, limit: number): number {
    let bytes = 0;
    const count = Math.min(most, this.#chunks.length);
    for (let i = 0; i < count && bytes < limit; i++) bytes += this.#chunks.at(i)?.remaining ?? 0;
    return Math.min(bytes, limit);
  }

  add(chunk: SendChunk): void {
    if (chunk.packet === undefined) this.#lent += chunk.length;
    this.#chunks.push(chunk);
  }

  /** `bytes` of the first chunk were handed over; it leaves when that was its rest. */
  advance(bytes: number): void {
    const chunk = this.#chunks.first;
    if (chunk === undefined) return;
    chunk.sent += bytes;
    if (chunk.packet === undefined) this.#lent -= bytes;
    if (chunk.remaining > 0) return;
    chunk.over = true;
    this.#chunks.shift();
  }

  /** Takes the first chunk out: nothing more of it will be sent. */
  drop(): SendChunk | undefined {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    if (chunk.packet === undefined) this.#lent -= chunk.remaining;
    chunk.over = true;
    return chunk;
  }
}
