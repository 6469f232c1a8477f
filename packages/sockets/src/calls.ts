/**
 * The socket system calls, as one thread sees them. The object is the thread's own: its waits end with the thread
 * (ECANCELED), its sockets are accounted to it. Sockets themselves are opaque and may be handed to another thread.
 *
 * Each call that may wait has a `try…` form that never does, allocates nothing, and returns a count or a negative
 * errno. The waiting form throws a SystemError.
 */
import type { DmaBuffer } from "@toril/memory";
import type { AbortSignalLike } from "@toril/virtio/platform";
import type { ReceivedBytes, TxPath, VsockAddress } from "@toril/vsock";
import type { Socket } from "./socket.ts";

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

/** Where the bytes of a send lie when they are a guest buffer: it is lent, not copied, on the zero-copy path. */
export interface BufferSlice {
  readonly buffer: DmaBuffer;
  readonly offset: number;
  readonly length: number;
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
   * Sends all of a guest buffer's slice; settles when all is taken. `onReturned` is called once, when no part is lent any
   * more; also when the send fails.
   */
  sendBuffer(socket: Socket, slice: BufferSlice, options?: WaitOptions & { onReturned?: () => void }): Promise<number>;
  trySendBuffer(socket: Socket, buffer: DmaBuffer, offset: number, length: number, onReturned?: () => void): number;
  /**
   * Bytes that a send would take now, or a negative errno. 0: none; `select` for writing waits until there is room. For
   * those who fetch what they send only when it can go, so that a peer that stalls holds nothing of theirs.
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
