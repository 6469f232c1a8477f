/** How streams are set up, and how they name addresses. */
import type { DuplexOptions } from "node:stream";
import type { SocketCalls } from "../calls.ts";
import type { Socket } from "../socket.ts";

export interface SocketStreamOptions {
  /** The system calls that the stream makes. */
  readonly sockets: SocketCalls;
  /** A connected socket, which is the stream's from now on. Without it: call `connect`. */
  readonly socket?: Socket;
  /** Keep the writable side open when the peer ends its own; `false` unless told, as with net.Socket. */
  readonly allowHalfOpen?: boolean;
  readonly highWaterMark?: number;
  /** Destroys the stream. */
  readonly signal?: AbortSignal;
}

export interface ConnectStreamOptions {
  /** The peer's context id. */
  readonly cid: number;
  readonly port: number;
  readonly localPort?: number;
  /** Milliseconds for connecting; then an ETIMEDOUT error. */
  readonly connectTimeoutMs?: number;
}

/** What `address()` returns: net.AddressInfo's shape, with the context id in `address` as text. */
export interface StreamAddress {
  readonly address: string;
  readonly family: "vsock";
  readonly port: number;
  readonly cid: number;
}

export function duplexOptions({ allowHalfOpen = false, highWaterMark, signal }: SocketStreamOptions): DuplexOptions {
  return {
    allowHalfOpen,
    // `close` is emitted by us, with whether there was an error.
    emitClose: false,
    autoDestroy: true,
    decodeStrings: true,
    ...(highWaterMark === undefined ? {} : { highWaterMark }),
    ...(signal === undefined ? {} : { signal }),
  };
}

export function streamAddress({ cid, port }: { cid: number; port: number }): StreamAddress {
  return { address: String(cid), family: "vsock", port, cid };
}
