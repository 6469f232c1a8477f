/**
 * Joins a Node socket and a guest's connection, byte for byte, each direction on its own:
 *
 *   guest ► data(chunk) ► socket.write(chunk in place) ► chunk.release()      (credit goes back when the bytes are out)
 *   socket ► "data" ► stream.write ► what did not fit is kept, and the socket paused until drain()
 *
 * The way out, and who holds the guest's memory on it for how long, is to-socket.ts.
 */
import type { Socket } from "node:net";
import type { GuestBytes, GuestStream, HostHandler } from "@toril/vsock/device";
import { reset } from "./connections.ts";
import { ToSocket, type ToSocketStats } from "./to-socket.ts";

/** How long a client may do nothing after the guest has closed. */
const LINGER_MS = 5000;

export interface BridgeStats extends ToSocketStats {
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
  readonly #toSocket: ToSocket;
  /** From the socket, and not taken by the guest yet. */
  #rest: Uint8Array | undefined;
  #socketEnded = false;
  /** The guest takes no more, or has been told that no more comes. */
  #toGuestDone = false;
  #guestClosed = false;
  #guestOpen = false;
  #socketClosed = false;
  #closedErrno = 0;

  constructor(options: SocketBridgeOptions) {
    this.#options = options;
    this.#stream = options.stream;
    this.#stats = options.stats;
    this.socket = options.socket;
    this.#toSocket = new ToSocket(options.socket, options.stats);
    if (this.socket.connecting) this.socket.once("connect", () => this.#toSocket.pump());
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
    this.#toSocket.add(chunk);
  }

  end(): void {
    this.#toSocket.end();
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
      this.#toSocket.drop();
      if (!this.#socketClosed) reset(this.socket);
    } else {
      this.#toSocket.end();
      this.#linger();
    }
    this.#finishIfOver();
  }

  /** Ends both sides at once. */
  abort(): void {
    reset(this.socket);
  }

  /**
   * The guest has closed in order. A socket that is destroyed with unread bytes sends a reset, which could overtake what
   * the client has not read yet: so the client's own end is waited for, as long as something moves.
   */
  #linger(): void {
    this.socket.resume();
    this.socket.setTimeout(LINGER_MS, () => this.socket.destroy());
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
    this.#toSocket.close();
    if (!this.#guestClosed) {
      // In order when both directions had ended; else the client has gone away, and the guest learns it.
      const inOrder = this.#socketEnded && this.#toSocket.ended && this.#rest === undefined;
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
