/**
 * Joins a Node socket and a guest's connection, byte for byte, each direction on its own:
 *
 *   guest ► data(chunk) ► socket.write(chunk in place) ► chunk.release()      (credit goes back when the bytes are out)
 *   socket ► "data" ► stream.write ► what did not fit is kept, and the socket paused until drain()
 *
 * A chunk is guest memory. `socket.write` may hold it for as long as the client stalls, and it cannot be taken back, so
 * only one chunk at a time goes out in place, and only into a socket that has nothing else to send. What comes behind it
 * is copied up to COPY_LIMIT and given back at once; beyond that chunks wait, which is the guest's back-pressure.
 */
import type { Socket } from "node:net";
import type { GuestBytes, GuestStream, HostHandler } from "@toril/vsock/device";
import { reset } from "./connections.ts";

/** Bytes per connection that are copied to let go of the guest's buffers while the client is slow. */
const COPY_LIMIT = 65_536;
/** How long a client may do nothing after the guest has closed. */
const LINGER_MS = 5000;

export interface BridgeStats {
  /** Bytes from the guest that went out in place, and those that were copied first. */
  bytesInPlace: number;
  bytesCopied: number;
  bytesToGuest: number;
  opened: number;
  open: number;
  /** Connections that ended with an error or a reset on either side. */
  aborted: number;
}

export function emptyBridgeStats(): BridgeStats {
  return { bytesInPlace: 0, bytesCopied: 0, bytesToGuest: 0, opened: 0, open: 0, aborted: 0 };
}

export interface SocketBridgeOptions {
  readonly socket: Socket;
  readonly stream: GuestStream;
  readonly stats: BridgeStats;
  /** Both ends are connected: from now on bytes flow. */
  readonly onOpened?: () => void;
  /** It is over on both sides; `errno` as the guest's side ended, 0 in order. */
  readonly onClosed?: (errno: number) => void;
}

/** The socket must be paused, and have `allowHalfOpen`. */
export class SocketBridge implements HostHandler {
  readonly socket: Socket;
  readonly #stream: GuestStream;
  readonly #stats: BridgeStats;
  readonly #options: SocketBridgeOptions;
  /** Chunks that are not handed to the socket yet. */
  readonly #waiting: GuestBytes[] = [];
  /** The chunk that the socket reads in place now. */
  #inPlace: GuestBytes | undefined;
  /** Bytes of copies that the socket has not sent yet. */
  #copied = 0;
  /** From the socket, and not taken by the guest yet. */
  #rest: Uint8Array | undefined;
  #socketEnded = false;
  /** The guest takes no more, or has been told that no more comes. */
  #toGuestDone = false;
  /** The guest sends no more; the socket is ended when everything before it is out. */
  #fromGuestEnded = false;
  #guestClosed = false;
  #guestOpen = false;
  #socketClosed = false;
  #closedErrno = 0;

  constructor(options: SocketBridgeOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#stats = options.stats;
    this.socket = options.socket;
    this.socket.on("connect", () => this.#pump());
    this.socket.on("data", (bytes: Uint8Array) => this.#fromSocket(bytes));
    this.socket.on("end", () => this.#socketEnd());
    // "close" follows, and does the work; without a listener it would end the process.
    this.socket.on("error", () => {});
    this.socket.on("close", () => this.#socketGone());
  }

  // --- the guest's side ----------------------------------------------------------------------------------------------

  opened(): void {
    this.#guestOpen = true;
    this.#stats.opened++;
    this.#stats.open++;
    this.#options.onOpened?.();
    if (!this.#socketClosed) this.socket.resume();
  }

  data(chunk: GuestBytes): void {
    if (this.#socketClosed) {
      chunk.release();
      return;
    }
    this.#waiting.push(chunk);
    this.#pump();
  }

  end(): void {
    this.#fromGuestEnded = true;
    this.#pump();
  }

  receiveEnded(): void {
    this.#toGuestDone = true;
    this.#rest = undefined;
    // Nobody wants what the client sends: it meets back-pressure, not a loop that throws bytes away.
    this.socket.pause();
  }

  drain(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    this.#rest = undefined;
    this.#toGuest(rest);
    if (this.#rest !== undefined) return;
    if (this.#socketEnded) this.#endToGuest();
    else this.socket.resume();
  }

  closed(errno: number): void {
    this.#guestClosed = true;
    this.#closedErrno = errno;
    this.#rest = undefined;
    if (errno !== 0) {
      // The guest's memory may be gone: nothing of it goes out any more.
      this.#dropWaiting();
      if (!this.#socketClosed) reset(this.socket);
    } else {
      this.#fromGuestEnded = true;
      this.#pump();
      this.#linger();
    }
    this.#finishIfOver();
  }

  /** Ends both sides at once. */
  abort(): void {
    reset(this.socket);
  }

  // --- from the guest to the socket ----------------------------------------------------------------------------------

  /** Moves what can be moved now. */
  #pump(): void {
    const { socket } = this;
    if (this.#socketClosed || socket.connecting) return;
    while (this.#inPlace === undefined) {
      const chunk = this.#waiting[0];
      if (chunk === undefined) break;
      if (socket.writableLength === 0) {
        this.#waiting.shift();
        this.#writeInPlace(chunk);
      } else if (!this.#copyNext(chunk)) {
        return;
      }
    }
    // Something goes out in place: what waits behind it is copied, so that the guest gets its buffers back.
    for (let chunk = this.#waiting[0]; chunk !== undefined && this.#copyNext(chunk); chunk = this.#waiting[0]);
    if (this.#fromGuestEnded && this.#waiting.length === 0 && !socket.writableEnded) socket.end();
  }

  #writeInPlace(chunk: GuestBytes): void {
    const { bytes } = chunk;
    this.#inPlace = chunk;
    this.#stats.bytesInPlace += bytes.length;
    let out = false;
    this.socket.write(bytes, () => {
      if (!out) this.#wentOut(chunk);
    });
    // The kernel took all of it at once, as it mostly does: no need to wait for the callback.
    if (this.socket.writableLength === 0 && this.#inPlace === chunk && this.socket.errored === null) {
      out = true;
      this.#inPlace = undefined;
      chunk.release();
    }
  }

  #wentOut(chunk: GuestBytes): void {
    if (this.#inPlace !== chunk) return;
    this.#inPlace = undefined;
    chunk.release();
    this.#pump();
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
    this.socket.write(copy, () => {
      this.#copied -= length;
      this.#pump();
    });
    return true;
  }

  /**
   * The guest has closed in order. A socket that is destroyed with unread bytes sends a reset, which could overtake what
   * the client has not read yet: so the client's own end is waited for, as long as something moves.
   */
  #linger(): void {
    this.socket.resume();
    this.socket.setTimeout(LINGER_MS, () => this.socket.destroy());
  }

  #dropWaiting(): void {
    for (const chunk of this.#waiting.splice(0)) chunk.release();
  }

  // --- from the socket to the guest ----------------------------------------------------------------------------------

  #fromSocket(bytes: Uint8Array): void {
    if (this.#toGuestDone || this.#guestClosed) return;
    // A paused socket may still hand over what it had read.
    if (this.#rest === undefined) this.#toGuest(bytes);
    else this.#rest = Buffer.concat([this.#rest, bytes]);
    if (this.#rest !== undefined) this.socket.pause();
  }

  #toGuest(bytes: Uint8Array): void {
    const taken = this.#stream.write(bytes);
    this.#stats.bytesToGuest += taken;
    if (taken < bytes.length) this.#rest = bytes.subarray(taken);
  }

  #socketEnd(): void {
    this.#socketEnded = true;
    if (this.#rest === undefined) this.#endToGuest();
  }

  #endToGuest(): void {
    if (this.#toGuestDone || this.#guestClosed) return;
    this.#toGuestDone = true;
    this.#stream.end();
  }

  #socketGone(): void {
    this.#socketClosed = true;
    const inPlace = this.#inPlace;
    this.#inPlace = undefined;
    inPlace?.release();
    this.#dropWaiting();
    if (!this.#guestClosed) {
      // In order when both directions had ended; else the client has gone away, and the guest learns it.
      const inOrder = this.#socketEnded && this.#fromGuestEnded && this.#rest === undefined;
      if (!inOrder) this.#stream.destroy();
    }
    this.#finishIfOver();
  }

  #finishIfOver(): void {
    if (!this.#socketClosed || !this.#guestClosed) return;
    if (this.#guestOpen) this.#stats.open--;
    if (this.#closedErrno !== 0) this.#stats.aborted++;
    this.#guestOpen = false;
    this.#options.onClosed?.(this.#closedErrno);
  }
}
