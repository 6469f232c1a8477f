/**
 * The socket system calls, as one thread sees them. The object is the thread's own: its waits end with the thread
 * (ECANCELED), its sockets are accounted to it. Sockets themselves are opaque and may be handed to another thread.
 *
 * Each call that may wait has a `try…` form that never does, allocates nothing, and returns a count or a negative
 * errno. The waiting form throws a SystemError.
 */
import type { DmaBuffer } from "@toril/memory";
import type { AbortSignalLike } from "@toril/virtio/platform";
import type { BorrowedBytes, BufferSlice, ReceivedBytes, TxPath, VsockAddress } from "@toril/vsock";
import type { Socket } from "./socket.ts";

export type { BufferSlice } from "@toril/vsock";

export interface WaitOptions {
  /** Milliseconds; then ETIMEDOUT. Waits for ever unless told. */
  readonly timeoutMs?: number;
  /** Ends the wait with ECANCELED, `cause` being the signal's reason. */
  readonly signal?: AbortSignalLike;
}

export interface ConnectOptions extends WaitOptions {
  /** A local port; an ephemeral one unless told. */
  readonly localPort?: number;
}

/** Options of a socket, after Linux' names where there is one. */
export interface SocketOptions {
  /** SO_VM_SOCKETS_BUFFER_SIZE: the receive window in bytes. */
  readonly bufferSize: number;
  /** TCP_NODELAY's meaning: small writes are not held back to be joined. */
  readonly noDelay: boolean;
  /** The transmit path of this connection. */
  readonly txPath: TxPath;
  /** SO_ERROR: the pending error, cleared by reading; 0 when none. Cannot be set. */
  readonly error: number;
}

export interface Readiness {
  readonly readable: readonly Socket[];
  readonly writable: readonly Socket[];
}

export interface SendBufferOptions extends WaitOptions {
  /** Called once, when no part is lent any more; also when the send fails. */
  readonly onReturned?: () => void;
  /**
   * When the promise settles, well or not. `taken` (unless told): when all bytes are queued; the buffers are still lent.
   * `returned`: when in addition nothing of this call is lent any more, so that the buffers may be written again.
   */
  readonly settle?: "taken" | "returned";
}

export interface SocketCalls {
  /** A new stream socket. */
  socket(): Socket;
  /** Without a port: an ephemeral one. @throws SystemError EADDRINUSE, EINVAL */
  bind(socket: Socket, port?: number): void;
  /** @param backlog connections that may wait to be accepted; 128 unless told */
  listen(socket: Socket, backlog?: number): void;
  accept(socket: Socket, options?: WaitOptions): Promise<Socket>;
  /** `undefined`: none is waiting. */
  tryAccept(socket: Socket): Socket | undefined;
  connect(socket: Socket, peer: { cid: number; port: number }, options?: ConnectOptions): Promise<void>;
  /** 0 when connected; -EINPROGRESS: select for writing, then read the `error` option. */
  tryConnect(socket: Socket, peer: { cid: number; port: number }, localPort?: number): number;

  /** Sends all bytes; returns their count. A wait that is cut short throws, its `sent` says how many went. */
  send(socket: Socket, bytes: Uint8Array, options?: WaitOptions): Promise<number>;
  trySend(socket: Socket, bytes: Uint8Array): number;
  /**
   * Sends all of a guest buffer's slice. On the zero-copy path it is lent to the device until used: it cannot be written,
   * freed or lent for writing meanwhile. There are three ways to hear that it is back: `settle`, `onReturned`, and the
   * counters `loansMade` and `loansReturned`.
   */
  sendBuffer(socket: Socket, slice: BufferSlice, options?: SendBufferOptions): Promise<number>;
  trySendBuffer(socket: Socket, buffer: DmaBuffer, offset: number, length: number, onReturned?: () => void): number;
  /** The same for several parts of buffers, one behind the other in the stream, in as few packets as the ring allows. */
  sendBuffers(socket: Socket, parts: readonly BufferSlice[], options?: SendBufferOptions): Promise<number>;
  /** From byte `skip` of the list on: a call that took less is repeated with the same list. One call is one loan. */
  trySendBuffers(socket: Socket, parts: readonly BufferSlice[], skip: number, onReturned?: () => void): number;
  /** Sends of this socket that lent something, modulo 2^32; or a negative errno. */
  loansMade(socket: Socket): number;
  /**
   * How many of those, counted from the first, are over: send number n (from 0) has given everything back when this is
   * above n. In the spirit of Linux' MSG_ZEROCOPY; costs nothing, and no callback.
   */
  loansReturned(socket: Socket): number;
  /** Waits until `loansReturned` has reached `count`; all that were made by now, unless told. Returns it. */
  loansOver(socket: Socket, count?: number, options?: WaitOptions): Promise<number>;
  /**
   * Bytes of guest buffers that the peer has room for now, or a negative errno. 0: none; `select` for writing waits until
   * there is room, and memory for a packet. For those who fetch what they lend only when it can go, so that a peer that
   * stalls holds nothing of theirs. Bytes that have to be copied may still get -EAGAIN.
   */
  sendRoom(socket: Socket): number;
  /** Sends small writes that wait for company. */
  flush(socket: Socket): void;

  /**
   * Receives 1 … target.length bytes; 0: the peer has closed its direction and all was read. An empty target is EINVAL:
   * its 0 would read as the end.
   */
  recv(socket: Socket, target: Uint8Array, options?: WaitOptions): Promise<number>;
  tryRecv(socket: Socket, target: Uint8Array): number;
  peek(socket: Socket, target: Uint8Array, options?: WaitOptions): Promise<number>;
  tryPeek(socket: Socket, target: Uint8Array): number;
  /** Received bytes in place, to be released; `undefined` at the end of the stream. */
  borrow(socket: Socket, options?: WaitOptions): Promise<ReceivedBytes | undefined>;
  tryBorrow(socket: Socket): ReceivedBytes | undefined | number;
  /**
   * The same into an object of the caller's, for those who must not allocate: the length of the run, 0 at the end of the
   * stream, or a negative errno. @throws Error when `into` still holds a run.
   */
  tryBorrowInto(socket: Socket, into: BorrowedBytes): number;

  /**
   * Waits until one socket of either list is ready: a call on it would not wait (a failed or closed connection is ready).
   * A timeout is an empty result, not an error.
   */
  select(want: { read?: readonly Socket[]; write?: readonly Socket[] }, options?: WaitOptions): Promise<Readiness>;
  trySelect(want: { read?: readonly Socket[]; write?: readonly Socket[] }): Readiness;

  shutdown(socket: Socket, how: "send" | "receive" | "both"): void;
  /** Orderly: queued bytes still go out. Waits of other threads on it end with EBADF. */
  close(socket: Socket): void;
  /** Resets the connection, and closes the socket. */
  abort(socket: Socket): void;
  /** Takes a socket over from the thread it is accounted to: it is closed with this one from now on. */
  adopt(socket: Socket): void;
  getsockname(socket: Socket): VsockAddress;
  /** @throws SystemError ENOTCONN */
  getpeername(socket: Socket): VsockAddress;
  getOption<K extends keyof SocketOptions>(socket: Socket, name: K): SocketOptions[K];
  setOption<K extends Exclude<keyof SocketOptions, "error">>(socket: Socket, name: K, value: SocketOptions[K]): void;
}
