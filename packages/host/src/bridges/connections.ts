/** The sockets of one bridge: how many there are, and how they end with it. */
import type { Server, Socket } from "node:net";

export interface CloseOptions {
  /** How long connections may go on before they are reset, in milliseconds, perhaps Infinity; 0 unless told. */
  readonly graceMs?: number;
}

export class Connections {
  readonly #sockets = new Set<Socket>();
  #emptied: (() => void)[] = [];

  get size(): number {
    return this.#sockets.size;
  }

  add(socket: Socket): void {
    this.#sockets.add(socket);
    const gone = (): void => {
      this.#sockets.delete(socket);
      if (this.#sockets.size > 0) return;
      for (const emptied of this.#emptied.splice(0)) emptied();
    };
    socket.once("close", gone);
    // A reset that fails is all that is heard of a socket: no "close" follows (Node 20 and 24).
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.syscall === "reset") gone();
    });
  }

  /** Resolves when no socket is left: at the latest a moment after the time of grace. */
  async end({ graceMs = 0 }: CloseOptions): Promise<void> {
    if (this.#sockets.size === 0) return;
    const empty = new Promise<void>((resolve) => this.#emptied.push(resolve));
    // A timer takes no more than 2^31 - 1 ms, and would make 1 ms of Infinity.
    const timer =
      graceMs === Number.POSITIVE_INFINITY
        ? undefined
        : setTimeout(() => {
            for (const socket of this.#sockets) reset(socket);
          }, graceMs);
    await empty;
    clearTimeout(timer);
  }
}

/** Listens, or says why not. */
export function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.removeListener("error", reject);
      resolve();
    });
    listen();
  });
}

/** Takes no new connections; resolves when the server's own are gone. */
export function stopped(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) resolve();
    else server.close(() => resolve());
  });
}

const resetting = new WeakSet<Socket>();

/**
 * Ends a connection so that the peer sees it was not in order: TCP's RST. A Unix socket has no such thing.
 *
 * Node first ends the socket, and resets it when that is done; one that is destroyed in between cannot be reset any more
 * (uv_tcp_close_reset says EINVAL), and is never closed. So once is enough, and not while it ends.
 */
export function reset(socket: Socket): void {
  if (resetting.has(socket)) return;
  const ending = socket.writableEnded && !socket.writableFinished;
  if (socket.connecting || ending || socket.remoteFamily === undefined) {
    socket.destroy();
    return;
  }
  resetting.add(socket);
  socket.resetAndDestroy();
}
