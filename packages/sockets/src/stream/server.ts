/** Listens on a vsock port and emits a stream per connection: shaped like net.Server. */
import { EventEmitter } from "node:events";
import { SystemError } from "@toril/virtio/platform";
import type { SocketCalls } from "../calls.ts";
import type { Socket } from "../socket.ts";
import { LoopHold } from "./loop-hold.ts";
import { nodeError, wasClosed } from "./node-error.ts";
import { SocketStream } from "./socket-stream.ts";
import { type StreamAddress, streamAddress } from "./stream-options.ts";

export interface ServerOptions {
  readonly sockets: SocketCalls;
  /** For the connections; `false` unless told. */
  readonly allowHalfOpen?: boolean;
  readonly highWaterMark?: number;
  /** Small writes are sent at once. */
  readonly noDelay?: boolean;
  /** Connections begin without being read. */
  readonly pauseOnConnect?: boolean;
}

export interface ListenOptions {
  /** An ephemeral one unless told. */
  readonly port?: number;
  readonly backlog?: number;
  /** Closes the server. */
  readonly signal?: AbortSignal;
}

export class Server extends EventEmitter {
  /** More connections are closed at once, and emitted as `drop`. */
  maxConnections: number | undefined = undefined;
  readonly #options: ServerOptions;
  readonly #connections = new Set<SocketStream>();
  readonly #hold = new LoopHold();
  #listening: { readonly socket: Socket; readonly address: StreamAddress } | undefined;
  #closing: "no" | "yes" = "no";

  constructor(options: ServerOptions, onConnection?: (stream: SocketStream) => void) {
    super();
    this.#options = options;
    if (onConnection !== undefined) this.on("connection", onConnection);
  }

  get listening(): boolean {
    return this.#listening !== undefined;
  }

  /** Begins to listen; errors (EADDRINUSE) are emitted. `listening` is emitted, and `listener` called, when it does. */
  listen(options: ListenOptions | number = {}, listener?: () => void): this {
    if (this.#listening !== undefined) throw nodeError("ERR_SERVER_ALREADY_LISTEN", "listen");
    const { port, backlog, signal } = typeof options === "number" ? { port: options } : options;
    const { sockets } = this.#options;
    if (listener !== undefined) this.once("listening", listener);
    this.#closing = "no";
    let socket: Socket | undefined;
    try {
      socket = sockets.socket();
      sockets.bind(socket, port);
      sockets.listen(socket, backlog);
    } catch (error) {
      if (socket !== undefined) sockets.close(socket);
      const code = error instanceof SystemError ? error.code : "EIO";
      process.nextTick(() => this.emit("error", nodeError(code, "listen", String(error))));
      return this;
    }
    this.#listening = { socket, address: streamAddress(sockets.getsockname(socket)) };
    this.#hold.open();
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", () => this.close(), { once: true });
    process.nextTick(() => {
      if (this.#listening?.socket === socket) this.emit("listening");
    });
    void this.#accept(socket);
    return this;
  }

  async #accept(listening: Socket): Promise<void> {
    const { sockets } = this.#options;
    try {
      while (this.#listening?.socket === listening) {
        this.#admit(sockets.tryAccept(listening) ?? (await sockets.accept(listening)));
      }
    } catch (error) {
      if (this.#listening?.socket !== listening) return;
      const code = error instanceof SystemError ? error.code : "EIO";
      this.close();
      if (!wasClosed(error)) this.emit("error", nodeError(code, "accept", String(error)));
    }
  }

  #admit(socket: Socket): void {
    const { sockets, noDelay, pauseOnConnect, ...rest } = this.#options;
    if (this.maxConnections !== undefined && this.#connections.size >= this.maxConnections) {
      const remote = streamAddress(sockets.getpeername(socket));
      sockets.close(socket);
      this.emit("drop", { remoteAddress: remote.address, remotePort: remote.port });
      return;
    }
    const stream = new SocketStream({ ...rest, sockets, socket });
    if (noDelay) stream.setNoDelay();
    if (pauseOnConnect) stream.pause();
    this.#connections.add(stream);
    stream.once("close", () => {
      this.#connections.delete(stream);
      this.#closedIfEmpty();
    });
    this.emit("connection", stream);
    // net.Socket reads before anybody listens, so that the end and errors of the peer are noticed.
    if (!pauseOnConnect) stream.read(0);
  }

  /** Stops to accept. `close` is emitted, and `done` called, when the last connection has ended. */
  close(done?: (error?: Error) => void): this {
    if (done !== undefined) {
      if (this.#listening === undefined) this.once("close", () => done(nodeError("ERR_SERVER_NOT_RUNNING", "close")));
      else this.once("close", () => done());
    }
    const listening = this.#listening;
    this.#listening = undefined;
    this.#closing = "yes";
    this.#hold.close();
    if (listening !== undefined) this.#stopListening(listening.socket);
    this.#closedIfEmpty();
    return this;
  }

  #stopListening(socket: Socket): void {
    try {
      this.#options.sockets.close(socket);
    } catch (error) {
      // Its thread ended first, and closed it.
      if (!wasClosed(error)) throw error;
    }
  }

  #closedIfEmpty(): void {
    if (this.#closing === "no" || this.#connections.size > 0) return;
    this.#closing = "no";
    process.nextTick(() => this.emit("close"));
  }

  /** The address it listens on; `null` when it does not. */
  address(): StreamAddress | null {
    return this.#listening?.address ?? null;
  }

  getConnections(done: (error: Error | null, count: number) => void): this {
    process.nextTick(() => done(null, this.#connections.size));
    return this;
  }

  ref(): this {
    this.#hold.ref();
    return this;
  }
  unref(): this {
    this.#hold.unref();
    return this;
  }
}

/** A server for vsock connections, like net.createServer. */
export function createServer(options: ServerOptions, onConnection?: (stream: SocketStream) => void): Server {
  return new Server(options, onConnection);
}
