/**
 * Sends responses. Everything is tried at once first; a promise is made only when the connection takes no more. Head and
 * small body go together. Lent pieces are lent on, not copied.
 */
import type { Socket, SocketCalls } from "@toril/sockets";
import { Errno, SystemError } from "@toril/virtio/platform";
import { isLentBody, type LentBody, type LentPiece, type ResponseBody } from "./body.ts";
import type { Deadline } from "./deadline.ts";
import type { HeadBuilder } from "./head-builder.ts";
import { Batch, discard, gather, whole } from "./lending.ts";
import { WRITE_SLICE } from "./limits.ts";

/** A lent body up to this goes into the packet of its head: a packet costs more than copying this much. */
const SMALL_LENT_BODY = 2048;
/** Chunks up to this are sent in one piece with their size line. */
const SMALL_CHUNK = 8 * 1024;

export class Output {
  /** Bytes of this connection that were taken. */
  sent = 0;
  /** `sent` when the write deadline was last set. */
  #sliceStart = 0;
  readonly #sockets: SocketCalls;
  readonly #socket: Socket;
  readonly #deadline: Deadline;
  readonly #writeTimeoutMs: number;
  /** Shared by all connections of a server: nothing stays in it across a wait. */
  readonly #builder: HeadBuilder;

  constructor(sockets: SocketCalls, socket: Socket, deadline: Deadline, writeTimeoutMs: number, builder: HeadBuilder) {
    this.#sockets = sockets;
    this.#socket = socket;
    this.#deadline = deadline;
    this.#writeTimeoutMs = writeTimeoutMs;
    this.#builder = builder;
  }

  /**
   * Sends what the builder holds, then the body. `undefined` when all was taken at once.
   * @throws SystemError, BodyError (also as rejections)
   */
  send(body: Exclude<ResponseBody, string> | undefined, chunks: "chunked" | "plain"): Promise<void> | undefined {
    const builder = this.#builder;
    if (body !== undefined && isLentBody(body) && body.length <= SMALL_LENT_BODY) {
      const next = this.#absorb(body);
      return next === undefined ? this.sendBuilt() : this.#sendBefore(body, next.left, next.promise);
    }
    if (body === undefined) return this.sendBuilt();
    if (body instanceof Uint8Array) {
      if (body.length <= builder.room) {
        builder.append(body);
        return this.sendBuilt();
      }
      return this.#sendThen(() => this.#bytes(body));
    }
    if (isLentBody(body)) return this.#sendThen(() => this.#pump(body));
    return this.#sendThen(() => this.#stream(body, chunks));
  }

  #sendThen(next: () => Promise<void> | undefined): Promise<void> | undefined {
    const waiting = this.sendBuilt();
    return waiting === undefined ? next() : waiting.then(next);
  }

  /** What the builder holds, then the body, whose next piece is on its way: it must come home, whatever happens to the head. */
  #sendBefore(body: LentBody, left: number, next: Promise<LentPiece | undefined>): Promise<void> {
    const fail = (error: unknown): never => {
      discard(next);
      throw error;
    };
    next.catch(() => {}); // it may fail while the head still waits; whoever awaits it hears of that all the same
    try {
      const sending = this.sendBuilt();
      if (sending === undefined) return this.#pumpSlowly(body, left, next);
      return sending.then(() => this.#pumpSlowly(body, left, next), fail);
    } catch (error) {
      return fail(error);
    }
  }

  /** Sends what the builder holds; it is free again when this returns. */
  sendBuilt(): Promise<void> | undefined {
    const { bytes, length } = this.#builder;
    const count = this.#take(this.#sockets.trySend(this.#socket, bytes.subarray(0, length)));
    return count === length ? undefined : this.#rest(bytes.slice(count, length), 0);
  }

  #bytes(bytes: Uint8Array): Promise<void> | undefined {
    const count = this.#take(this.#sockets.trySend(this.#socket, bytes));
    return count === bytes.length ? undefined : this.#rest(bytes, count);
  }

  /** A count of taken bytes out of what a `try…` call returned. */
  #take(count: number): number {
    if (count === -Errno.EAGAIN) return 0;
    if (count < 0) throw new SystemError(-count, "send");
    this.sent += count;
    return count;
  }

  async #rest(bytes: Uint8Array, from: number): Promise<void> {
    for (let at = from; at < bytes.length; at += WRITE_SLICE) {
      this.#deadline.set("write", this.#writeTimeoutMs);
      const slice = bytes.subarray(at, Math.min(bytes.length, at + WRITE_SLICE));
      this.sent += await this.#sockets.send(this.#socket, slice);
    }
    this.#deadline.clear();
  }

  // Lent bodies. Pieces are asked for only when the client has room for them: one that stalls holds none, but for one that
  // was slow to come.

  /** Copies a small lent body behind the head. `undefined`: all of it is there; else what is still to come. */
  #absorb(body: LentBody): { left: number; promise: Promise<LentPiece | undefined> } | undefined {
    let left = body.length;
    while (left > 0) {
      const next = body.next(left);
      if (next instanceof Promise) return { left, promise: next };
      const piece = whole(next, left);
      this.#builder.append(piece.buffer.bytes.subarray(piece.offset, piece.offset + piece.length));
      piece.done();
      left -= piece.length;
    }
    return undefined;
  }

  #pump(body: LentBody): Promise<void> | undefined {
    let left = body.length;
    while (left > 0) {
      const room = this.#room();
      if (room === 0) return this.#pumpSlowly(body, left);
      const batch = gather(body, room, left);
      left -= batch.length;
      const rest = this.#lendOrDiscard(batch);
      if (rest !== undefined || batch.coming !== undefined) return this.#pumpSlowly(body, left, batch.coming, rest);
    }
    return undefined;
  }

  /** @param sending what goes before all else, and may fail */
  async #pumpSlowly(
    body: LentBody,
    length: number,
    first?: Promise<LentPiece | undefined>,
    sending?: Promise<void>,
  ): Promise<void> {
    let left = length;
    let coming = first;
    try {
      await sending;
      while (left > 0) {
        const batch = coming === undefined ? await this.#nextBatch(body, left) : new Batch();
        if (coming !== undefined) {
          const piece = await coming;
          coming = undefined; // it is here: `whole` sees to it that it goes back
          batch.add(whole(piece, left));
        }
        coming = batch.coming;
        left -= batch.length;
        await this.#lend(batch);
      }
    } catch (error) {
      discard(coming);
      throw error;
    }
    this.#deadline.clear();
  }

  async #nextBatch(body: LentBody, left: number): Promise<Batch> {
    const room = this.#room() || (await this.#waitForRoom());
    return gather(body, room, left);
  }

  /** Bytes that the peer has room for now. @throws SystemError when it takes nothing any more */
  #room(): number {
    const room = this.#sockets.sendRoom(this.#socket);
    if (room < 0) throw new SystemError(-room, "send");
    return room;
  }

  async #waitForRoom(): Promise<number> {
    // A deadline that runs goes on until a slice has gone: a client that takes a byte now and then does not move it.
    if (this.#deadline.phase !== "write" || this.sent - this.#sliceStart >= WRITE_SLICE) {
      this.#sliceStart = this.sent;
      this.#deadline.set("write", this.#writeTimeoutMs);
    }
    const wanted = { write: [this.#socket] };
    for (;;) {
      await this.#sockets.select(wanted);
      const room = this.#room();
      if (room > 0) return room;
    }
  }

  /**
   * Lends all of it, now or as the connection takes it; `undefined`: now.
   * @throws SystemError (also as a rejection); what was not taken has gone back then
   */
  #lend(batch: Batch): Promise<void> | undefined {
    if (batch.length === 0) return undefined;
    try {
      const count = this.#tryLend(batch);
      if (count < batch.length) return this.#lendRest(batch, count);
    } catch (error) {
      batch.returned();
      throw error;
    }
    batch.returned();
    return undefined;
  }

  #lendOrDiscard(batch: Batch): Promise<void> | undefined {
    try {
      return this.#lend(batch);
    } catch (error) {
      discard(batch.coming);
      throw error;
    }
  }

  /** How many bytes were taken. */
  #tryLend(batch: Batch): number {
    let count = -1;
    batch.begin();
    try {
      count = this.#sockets.trySendBuffers(this.#socket, batch.pieces, 0, batch.returned);
    } finally {
      if (count < 0) batch.returned();
    }
    return this.#take(count);
  }

  async #lendRest(batch: Batch, from: number): Promise<void> {
    try {
      for (let at = from; at < batch.length; at += WRITE_SLICE) {
        this.#deadline.set("write", this.#writeTimeoutMs);
        const slice = batch.slice(at, Math.min(WRITE_SLICE, batch.length - at));
        batch.begin();
        this.sent += await this.#sockets.sendBuffers(this.#socket, slice, { onReturned: batch.returned });
      }
      this.#deadline.clear();
    } finally {
      batch.returned();
    }
  }

  // Bodies of unknown length.

  async #stream(body: AsyncIterable<Uint8Array>, chunks: "chunked" | "plain"): Promise<void> {
    for await (const chunk of body) {
      // A chunk of no bytes would end the body.
      if (chunk.length === 0) continue;
      if (chunks === "plain") await this.#bytes(chunk);
      else await this.#chunk(chunk);
    }
    if (chunks === "chunked") await this.#text("0\r\n\r\n");
  }

  async #chunk(chunk: Uint8Array): Promise<void> {
    const size = `${chunk.length.toString(16)}\r\n`;
    if (chunk.length > SMALL_CHUNK) {
      await this.#text(size);
      await this.#bytes(chunk);
      await this.#text("\r\n");
      return;
    }
    this.#builder.clear();
    this.#builder.ascii(size);
    this.#builder.append(chunk);
    this.#builder.ascii("\r\n");
    await this.sendBuilt();
  }

  #text(text: string): Promise<void> | undefined {
    this.#builder.clear();
    this.#builder.ascii(text);
    return this.sendBuilt();
  }
}
