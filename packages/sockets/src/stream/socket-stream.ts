/**
 * A socket as a Node stream, shaped like net.Socket. Its backpressure is the connection's credit: a write is done when the
 * connection has taken its bytes, and bytes are received only as fast as they are read, so that a slow reader holds the
 * peer back by the protocol's own means.
 */
import { Duplex } from "node:stream";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { SocketCalls } from "../calls.ts";
import type { Socket } from "../socket.ts";
import { IdleTimer } from "./idle-timer.ts";
import { LoopHold } from "./loop-hold.ts";
import { asError, codeOf, messageOf, nodeError, wasClosed } from "./node-error.ts";
import {
  type ConnectStreamOptions,
  duplexOptions,
  type SocketStreamOptions,
  type StreamAddress,
  streamAddress,
} from "./stream-options.ts";

type WriteCallback = (error?: Error | null) => void;

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "connecting"; readonly socket: Socket }
  | { readonly kind: "open"; readonly socket: Socket }
  | { readonly kind: "closed" };

export class SocketStream extends Duplex {
  /** Bytes received so far. */
  bytesRead = 0;
  readonly #sockets: SocketCalls;
  readonly #hold = new LoopHold();
  #state: State = { kind: "idle" };
  #bytesTaken = 0;
  #addresses: { local: StreamAddress; remote: StreamAddress } | undefined;
  #reading: "no" | "yes" = "no";
  readonly #idle = new IdleTimer(() => this.emit("timeout"));

  constructor(options: SocketStreamOptions) {
    super(duplexOptions(options));
    this.#sockets = options.sockets;
    if (options.socket !== undefined) this.#opened(options.socket);
  }

  // Connecting.

  /** Connects; `connect` and `ready` are emitted, and `listener` called, when it is done. */
  connect(options: ConnectStreamOptions, listener?: () => void): this {
    if (this.#state.kind !== "idle") throw nodeError("EISCONN", "connect", "the stream was connected before");
    if (listener !== undefined) this.once("connect", listener);
    let socket: Socket;
    try {
      socket = this.#sockets.socket();
    } catch (error) {
      this.destroy(asError(error));
      return this;
    }
    this.#state = { kind: "connecting", socket };
    this.#hold.open();
    void this.#connect(socket, options);
    return this;
  }

  async #connect(socket: Socket, options: ConnectStreamOptions): Promise<void> {
    const { cid, port, localPort, connectTimeoutMs } = options;
    try {
      await this.#sockets.connect(
        socket,
        { cid, port },
        {
          ...(localPort === undefined ? {} : { localPort }),
          ...(connectTimeoutMs === undefined ? {} : { timeoutMs: connectTimeoutMs }),
        },
      );
    } catch (error) {
      if (!this.destroyed) this.destroy(nodeError(codeOf(error), "connect", messageOf(error), { cid, port }));
      return;
    }
    if (this.destroyed) return;
    this.#opened(socket);
    this.emit("connect");
    this.emit("ready");
    if (this.#reading === "yes") void this.#receive(socket);
  }

  #opened(socket: Socket): void {
    this.#state = { kind: "open", socket };
    this.#addresses = {
      local: streamAddress(this.#sockets.getsockname(socket)),
      remote: streamAddress(this.#sockets.getpeername(socket)),
    };
    this.#hold.open();
    this.#idle.touch();
  }

  /** Runs `act` when the stream is connected; never when it is destroyed before. */
  #whenOpen(act: (socket: Socket) => void): void {
    if (this.#state.kind === "open") act(this.#state.socket);
    else if (this.#state.kind === "closed") return;
    else this.once("connect", () => this.#whenOpen(act));
  }

  // The Duplex's own calls.

  override _read(): void {
    if (this.#reading === "yes") return;
    this.#reading = "yes";
    if (this.#state.kind === "open") void this.#receive(this.#state.socket);
  }

  /** Pushes what has come until the reader has enough; waits when nothing has come. */
  async #receive(socket: Socket): Promise<void> {
    try {
      for (let wants = true; wants; ) {
        let received = this.#sockets.tryBorrow(socket);
        if (received === -Errno.EAGAIN) received = await this.#sockets.borrow(socket);
        if (this.destroyed) {
          if (typeof received === "object") received.release();
          return;
        }
        this.#idle.touch();
        if (typeof received === "number") throw new SystemError(-received, "read");
        if (received === undefined) {
          this.push(null);
          // Without this the `end` of a stream that nobody reads would never come: net.Socket does the same.
          if (this.readableLength === 0) this.read(0);
          return;
        }
        const bytes = Buffer.from(received.bytes);
        received.release();
        this.bytesRead += bytes.length;
        this.#reading = "no";
        wants = this.push(bytes);
        // The push may have asked for more from inside: then this loop is that reading.
        wants = wants || (this.#reading as string) === "yes";
        if (wants) this.#reading = "yes";
      }
    } catch (error) {
      this.#broken(error, "read");
    }
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: WriteCallback): void {
    this.#whenOpen((socket) => this.#send(socket, chunk, done));
  }

  override _writev(chunks: { chunk: Uint8Array }[], done: WriteCallback): void {
    this.#whenOpen((socket) => {
      const next = (index: number): void => {
        const entry = chunks[index];
        if (entry === undefined) {
          done();
          return;
        }
        this.#send(socket, entry.chunk, (error) => (error ? done(error) : next(index + 1)));
      };
      next(0);
    });
  }

  #send(socket: Socket, bytes: Uint8Array, done: WriteCallback): void {
    this.#idle.touch();
    const count = this.#sockets.trySend(socket, bytes);
    if (count > 0) this.#bytesTaken += count;
    if (count === bytes.length) {
      done();
      return;
    }
    if (count < 0 && count !== -Errno.EAGAIN) {
      done(nodeError(codeOf(new SystemError(-count, "write")), "write"));
      return;
    }
    this.#sockets.send(socket, count > 0 ? bytes.subarray(count) : bytes).then(
      (sent) => {
        this.#bytesTaken += sent;
        this.#idle.touch();
        done();
      },
      (error: unknown) => done(nodeError(codeOf(error), "write", messageOf(error))),
    );
  }

  override _final(done: WriteCallback): void {
    this.#whenOpen((socket) => {
      try {
        this.#sockets.shutdown(socket, "send");
        done();
      } catch (error) {
        done(nodeError(codeOf(error), "shutdown", messageOf(error)));
      }
    });
    if (this.#state.kind === "closed") done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const state = this.#state;
    this.#state = { kind: "closed" };
    this.#hold.close();
    this.#idle.stop();
    if (state.kind === "open" || state.kind === "connecting") {
      try {
        this.#sockets.close(state.socket);
      } catch {
        // Its thread ended first, and closed it.
      }
    }
    done(error);
    process.nextTick(() => this.emit("close", error !== null));
  }

  #broken(error: unknown, syscall: string): void {
    // Closing a stream ends its own waits: that is no error of its user's.
    if (this.destroyed) return;
    // The socket was closed under it, with its thread or by the calls: the stream is over, and nothing is lost that came.
    if (wasClosed(error)) {
      this.destroy();
      return;
    }
    this.destroy(nodeError(codeOf(error), syscall, messageOf(error)));
  }

  // What net.Socket has beside.

  get connecting(): boolean {
    return this.#state.kind === "connecting";
  }

  /** Not connected (yet). */
  get pending(): boolean {
    return this.#state.kind === "idle" || this.#state.kind === "connecting";
  }

  get readyState(): "opening" | "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.connecting) return "opening";
    if (this.readable && this.writable) return "open";
    if (this.readable) return "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Bytes written, with those that still wait. */
  get bytesWritten(): number {
    return this.#bytesTaken + this.writableLength;
  }

  get bufferSize(): number {
    return this.writableLength;
  }

  get localAddress(): string | undefined {
    return this.#addresses?.local.address;
  }
  get localPort(): number | undefined {
    return this.#addresses?.local.port;
  }
  get remoteAddress(): string | undefined {
    return this.#addresses?.remote.address;
  }
  get remotePort(): number | undefined {
    return this.#addresses?.remote.port;
  }
  get remoteFamily(): "vsock" | undefined {
    return this.#addresses?.remote.family;
  }

  /** The local address; empty before the stream is connected, as with net.Socket. */
  address(): StreamAddress | Record<string, never> {
    return this.#addresses?.local ?? {};
  }

  /** Milliseconds of `setTimeout`. */
  get timeout(): number | undefined {
    return this.#idle.milliseconds;
  }

  /** Emits `timeout` after so many milliseconds without a byte in either direction; 0 turns it off. */
  setTimeout(milliseconds: number, listener?: () => void): this {
    this.#idle.set(milliseconds);
    if (listener !== undefined && milliseconds === 0) this.off("timeout", listener);
    else if (listener !== undefined) this.once("timeout", listener);
    return this;
  }

  /** Small writes are sent at once, not held back to be joined. */
  setNoDelay(noDelay = true): this {
    this.#whenOpen((socket) => this.#sockets.setOption(socket, "noDelay", noDelay));
    return this;
  }

  /** Does nothing: virtio-vsock has no keep-alive, and needs none; a peer that dies is noticed by the device. */
  setKeepAlive(): this {
    return this;
  }

  /** Lets an open stream keep the process alive; that is how it starts. */
  ref(): this {
    this.#hold.ref();
    return this;
  }
  unref(): this {
    this.#hold.unref();
    return this;
  }

  /** Destroys the stream when all that was written is sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** Resets the connection instead of closing it in order. */
  resetAndDestroy(): this {
    const state = this.#state;
    if (state.kind === "open" || state.kind === "connecting") {
      this.#state = { kind: "closed" };
      this.#sockets.abort(state.socket);
      this.destroy();
    } else this.destroy(nodeError("ERR_SOCKET_CLOSED", "reset"));
    return this;
  }
}
