/**
 * One end of a vhost-user socket: whole messages with their descriptors, in both directions, without waiting. Both ends
 * of the protocol use it. Whatever breaks the framing ends it, and every descriptor that nobody takes is closed.
 */
import { LibcError, libc } from "../ffi/libc.ts";
import { receiveBytes, sendBytes } from "../ffi/unix-socket.ts";
import { type Watch, watch } from "../ffi/watch.ts";
import { decodeHeader, encodeMessage, HEADER_SIZE, type Header, type MessageKind } from "./message.ts";

export interface Message extends Header {
  readonly payload: Uint8Array;
  /** Owned by the handler, which closes those it does not keep. */
  readonly fds: readonly number[];
}

export interface MessageHandler {
  /** May close the socket. Must not throw. */
  message(message: Message): void;
  /** The peer has gone, or broke the framing; the socket is closed. Called once, and not after `close`. */
  ended(reason: string): void;
}

/** VHOST_USER_MAX_FDS: what one message may carry. */
const MAX_MESSAGE_FDS = 8;
/** Messages handled before others get their turn. */
const BATCH = 64;

export class MessageSocket {
  #fd: number;
  readonly #handler: MessageHandler;
  readonly #watch: Watch;
  /** The header of the message that is coming in, once it is there. */
  #header: Header | undefined;
  #parts: Uint8Array[] = [];
  #missing: number = HEADER_SIZE;
  #fds: number[] = [];

  /** @param fd a non-blocking socket, owned from now on */
  constructor(fd: number, handler: MessageHandler) {
    this.#fd = fd;
    this.#handler = handler;
    this.#watch = watch(fd, () => void this.pump());
  }

  get open(): boolean {
    return this.#fd >= 0;
  }

  /** Readable when `pump` has something; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  unref(): void {
    this.#watch.unref();
  }

  /**
   * Sends a message whole, or not at all; `full` when the peer has not read what was sent before.
   * @throws LibcError when the peer is gone
   */
  send(request: number, payload: Uint8Array, kind: MessageKind, fds: readonly number[] = []): "sent" | "full" {
    if (this.#fd < 0) throw new LibcError("sendmsg on a closed socket", 0);
    const bytes = encodeMessage(request, payload, kind);
    const sent = sendBytes(this.#fd, bytes, fds);
    if (sent < 0) return "full";
    // Linux takes a message this small whole or not at all.
    if (sent < bytes.length) throw new LibcError(`sendmsg (${sent} of ${bytes.length} bytes)`, 0);
    return "sent";
  }

  /** Takes in what has come; for a loop that polls, and for the event loop. Whether anything had. */
  pump(): boolean {
    let worked = false;
    for (let i = 0; i < BATCH && this.#fd >= 0; ) {
      const outcome = this.#step();
      if (outcome === "nothing") break;
      worked = true;
      if (outcome === "message") i++;
    }
    return worked;
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#watch.close();
    libc().close(this.#fd);
    this.#fd = -1;
    for (const fd of this.#fds) libc().close(fd);
    this.#fds = [];
  }

  #step(): "nothing" | "bytes" | "message" {
    const received = this.#receive();
    if (received === undefined) return "nothing";
    if (typeof received === "string") {
      this.#end(received);
      return "bytes";
    }
    this.#parts.push(received);
    this.#missing -= received.length;
    if (this.#missing > 0) return "bytes";
    return this.#header === undefined ? this.#headerComplete() : this.#deliver(this.#header);
  }

  /** Never past the end of what is being read: so descriptors belong to the message that they came with. */
  #receive(): Uint8Array | string | undefined {
    try {
      const received = receiveBytes(this.#fd, this.#missing);
      if (received === undefined) return undefined;
      this.#fds.push(...received.fds);
      if (received.descriptors === "truncated" || this.#fds.length > MAX_MESSAGE_FDS) {
        return `it sent more than ${MAX_MESSAGE_FDS} descriptors with a message`;
      }
      return received.bytes.length === 0 ? "it closed the socket" : received.bytes;
    } catch (error) {
      if (error instanceof LibcError) return error.message;
      throw error;
    }
  }

  #headerComplete(): "bytes" | "message" {
    const header = decodeHeader(this.#take());
    if (typeof header === "string") {
      this.#end(header);
      return "bytes";
    }
    this.#missing = header.size;
    if (header.size === 0) return this.#deliver(header);
    this.#header = header;
    return "bytes";
  }

  #deliver(header: Header): "message" {
    const payload = this.#take();
    const fds = this.#fds;
    this.#fds = [];
    this.#header = undefined;
    this.#missing = HEADER_SIZE;
    this.#handler.message({ ...header, payload, fds });
    return "message";
  }

  #take(): Uint8Array {
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  #end(reason: string): void {
    this.close();
    this.#handler.ended(reason);
  }
}
