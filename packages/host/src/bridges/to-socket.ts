/**
 * From the guest to a Node socket. A chunk is guest memory; `socket.write` may hold it for as long as the client stalls,
 * and it cannot be taken back. So chunks go out in place only into a socket that has nothing else to send; what comes
 * behind them is copied up to COPY_LIMIT and given back at once; beyond that chunks wait, which is the guest's
 * back-pressure.
 *
 * What the guest has sent in one go (the head of a response, its body, and its end) leaves in one go, as one system call:
 * the client wakes up once.
 */
import type { Socket } from "node:net";
import type { GuestBytes } from "@toril/vsock/device";

/** Bytes per connection that are copied to let go of the guest's buffers while the client is slow. */
const COPY_LIMIT = 65_536;

export interface ToSocketStats {
  /** Bytes from the guest that went out in place, and those that were copied first. */
  bytesInPlace: number;
  bytesCopied: number;
}

export class ToSocket {
  readonly #socket: Socket;
  readonly #stats: ToSocketStats;
  /** Chunks that are not handed to the socket yet. */
  #waiting: GuestBytes[] = [];
  /** The chunks that the socket reads in place now. */
  #inPlace: readonly GuestBytes[] | undefined;
  /** Bytes of copies that the socket has not sent yet. */
  #copied = 0;
  #state: "open" | "ended" | "closed" = "open";
  #scheduled = false;
  /** `slow`: the client has not taken at once what it was given last. It gets one chunk at a time, and holds no more. */
  #client: "prompt" | "slow" = "prompt";
  readonly #flush: () => void = () => {
    this.#scheduled = false;
    this.pump();
  };

  constructor(socket: Socket, stats: ToSocketStats) {
    this.#socket = socket;
    this.#stats = stats;
  }

  /** Whether the guest has ended its direction. */
  get ended(): boolean {
    return this.#state !== "open";
  }

  add(chunk: GuestBytes): void {
    if (this.#state === "closed") {
      chunk.release();
      return;
    }
    this.#waiting.push(chunk);
    this.#schedule();
  }

  /** The guest sends no more: the socket is ended when everything before it is out. */
  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#schedule();
  }

  /** Gives back what was not handed to the socket. */
  drop(): void {
    for (const chunk of this.#waiting.splice(0)) chunk.release();
  }

  /** The socket is gone: nothing reads the guest's memory any more. */
  close(): void {
    this.#state = "closed";
    this.#giveBack(this.#inPlace);
    this.drop();
  }

  /** Moves what can be moved now. */
  pump(): void {
    const socket = this.#socket;
    if (this.#state === "closed" || socket.connecting) return;
    while (this.#waiting.length > 0 && this.#inPlace === undefined && socket.writableLength === 0) this.#sendInPlace();
    // Something is on its way already: what waits behind it is copied, so that the guest gets its buffers back.
    for (let chunk = this.#waiting[0]; chunk !== undefined && this.#copyNext(chunk); chunk = this.#waiting[0]);
    if (this.#state === "ended" && this.#waiting.length === 0 && !socket.writableEnded) socket.end();
  }

  /** Behind everything that the guest's device does in this turn. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  #sendInPlace(): void {
    const socket = this.#socket;
    const batch = this.#client === "prompt" ? this.#waiting : this.#waiting.slice(0, 1);
    this.#waiting = this.#client === "prompt" ? [] : this.#waiting.slice(1);
    this.#inPlace = batch;
    if (batch.length > 1) socket.cork();
    const last = batch.length - 1;
    for (let i = 0; i <= last; i++) {
      const bytes = batch[i]?.bytes ?? NOTHING;
      this.#stats.bytesInPlace += bytes.length;
      if (i < last) socket.write(bytes);
      else socket.write(bytes, () => this.#wentOut(batch));
    }
    if (batch.length > 1) socket.uncork();
    // The kernel took all of it at once, as it mostly does: no need to wait for the callback.
    const taken = socket.writableLength === 0 && socket.errored === null;
    this.#client = taken ? "prompt" : "slow";
    if (taken) this.#giveBack(batch);
  }

  #wentOut(batch: readonly GuestBytes[]): void {
    if (this.#inPlace !== batch) return;
    this.#giveBack(batch);
    this.pump();
  }

  #giveBack(batch: readonly GuestBytes[] | undefined): void {
    this.#inPlace = undefined;
    if (batch === undefined) return;
    for (let i = 0; i < batch.length; i++) batch[i]?.release();
  }

  /** Whether there was room for a copy. */
  #copyNext(chunk: GuestBytes): boolean {
    const { length } = chunk.bytes;
    if (this.#copied + length > COPY_LIMIT) return false;
    this.#waiting.shift();
    const copy = Buffer.from(chunk.bytes);
    chunk.release();
    this.#copied += length;
    this.#stats.bytesCopied += length;
    this.#socket.write(copy, () => {
      this.#copied -= length;
      this.pump();
    });
    return true;
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
