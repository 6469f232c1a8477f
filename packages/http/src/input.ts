/** What a connection has received and nobody has read yet. */
import type { Socket, SocketCalls } from "@toril/sockets";

/** Holds several request heads of the usual size; bodies go through it piece by piece. */
export const INPUT_SIZE: number = 8 * 1024;

export class Input {
  readonly bytes: Uint8Array;
  /** The unread bytes are those from `start` to `end`. */
  start = 0;
  end = 0;
  /** Bytes received in all. */
  received = 0;
  readonly #sockets: SocketCalls;
  readonly #socket: Socket;

  constructor(bytes: Uint8Array, sockets: SocketCalls, socket: Socket) {
    this.bytes = bytes;
    this.#sockets = sockets;
    this.#socket = socket;
  }

  get empty(): boolean {
    return this.start === this.end;
  }

  /** Receives when everything is read. A count, 0 at the end of the stream, or a negative errno (-EAGAIN: wait). */
  tryFill(): number {
    return this.#filled(this.#sockets.tryRecv(this.#socket, this.bytes));
  }

  /** The same, and waits. @throws SystemError */
  async fill(): Promise<number> {
    return this.#filled(await this.#sockets.recv(this.#socket, this.bytes));
  }

  #filled(count: number): number {
    if (count <= 0) return count;
    this.start = 0;
    this.end = count;
    this.received += count;
    return count;
  }
}
