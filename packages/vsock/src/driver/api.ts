/**
 * The face that the vsock driver shows to socket calls (and to anyone who drives it alone). Nothing here waits: every
 * call does what it can and says so; readiness is announced through the listener of each object.
 *
 * Numbers returned by `try…` calls: a count of bytes, or a negative errno (`-Errno.EAGAIN`: not now).
 */
import type { DmaBuffer } from "@toril/memory";
import type { Pollable } from "@toril/virtio/platform";
import type { Cid, Port, VsockAddress } from "../address.ts";
import type { BorrowedBytes } from "./borrowed-bytes.ts";
import type { VsockDriverStats } from "./stats.ts";

/**
 * How bytes get from the user to the device.
 * `two-copy`: user → packet → TX ring buffer. `one-copy`: user → packet, the descriptor points at the packet.
 * `zero-copy`: a header descriptor and the user's own buffer, where that lies in guest memory; else one-copy, counted.
 */
export type TxPath = "two-copy" | "one-copy" | "zero-copy";

/** What became possible. Called from the driver's `poll`, or from the call that caused it; must not throw. */
export interface ConnectionListener {
  /** The connection is established (only for `connect`). */
  onConnected?(): void;
  /** There are bytes to receive, or the peer will send no more. */
  onReadable?(): void;
  /** There is room to send again after a call that returned -EAGAIN or a short count, or after `writable` was 0. */
  onWritable?(): void;
  /** Lent buffers are back: `loansReturned` has grown. Also after `onClosed`: the device may still have read them. */
  onReturned?(): void;
  /** It is over; 0 when both sides closed in order, else an errno (ECONNREFUSED, ECONNRESET, ETIMEDOUT, ENETDOWN…). */
  onClosed?(errno: number): void;
}

/** Where bytes of a send lie when they are part of a guest buffer. */
export interface BufferSlice {
  readonly buffer: DmaBuffer;
  readonly offset: number;
  readonly length: number;
}

/**
 * Received bytes that still lie in the driver's receive buffer. Read, then `release`, in any order: the buffer goes back to
 * the ring and credit to the peer with that, also after the connection was closed.
 */
export interface ReceivedBytes {
  /** @throws Error when released: the memory is somebody else's again. */
  readonly bytes: Uint8Array;
  /** Of `bytes`, without making the view. */
  readonly length: number;
  /** @throws Error when released twice. */
  release(): void;
}

/** One connection. Its state machine is shared with the device (../connection). */
export interface VsockConnection {
  readonly local: VsockAddress;
  readonly peer: VsockAddress;
  readonly status: "connecting" | "established" | "closing" | "closed";
  /** Why it closed, 0 for in order or not closed. */
  readonly error: number;
  listener: ConnectionListener;

  /** Bytes that can be received now. */
  readonly readable: number;
  /** The peer has sent its last byte (they may not all be received yet). */
  readonly receiveEnded: boolean;
  /** Bytes that can be sent now without -EAGAIN. */
  readonly writable: number;
  /**
   * Bytes of guest buffers that can be lent now: on the zero-copy path, what the peer has credit for, since they take no
   * memory of the driver's (the last few, which are copied, may have to wait for it); else the same as `writable`.
   */
  readonly lendable: number;

  /** Takes as many bytes as fit, by this connection's path; they may be reused at once. -EAGAIN, -EPIPE, -ECONNRESET… */
  trySend(bytes: Uint8Array): number;
  /**
   * Sends from a guest buffer. On the zero-copy path it is lent to the device (`lendToRead`) until used, and
   * `onReturned` is called once when no part of this call is lent any more; on the other paths the bytes are copied and
   * it is called before this returns. A short count lends only what was taken. Not called when the result is negative.
   */
  trySendBuffer(buffer: DmaBuffer, offset: number, length: number, onReturned?: () => void): number;
  /**
   * The same for several parts of buffers, one behind the other in the stream, in as few packets as the ring allows; from
   * byte `skip` of the list on, so that a call which took less is repeated with the same list. One call is one loan.
   */
  trySendBuffers(parts: readonly BufferSlice[], skip: number, onReturned?: () => void): number;
  /**
   * Sends of this connection that lent something, and how many of those, counted from the first, are over: nothing of
   * them is lent any more. Send number n (from 0) is over when `loansReturned` is above n. Both run free modulo 2^32. In
   * order, so a sender from a ring of buffers needs no callback; as with Linux' MSG_ZEROCOPY, a loan that is over behind one
   * that is not is counted later.
   */
  readonly loansMade: number;
  readonly loansReturned: number;
  /** Sends coalesced small writes now; otherwise they go with the next poll. */
  flush(): void;

  /** Copies received bytes out; 0 at the end of the stream, -EAGAIN when there are none yet. */
  tryRecv(target: Uint8Array): number;
  /** The same without consuming. */
  tryPeek(target: Uint8Array): number;
  /** The next run of received bytes in place; `undefined` at the end of the stream, -EAGAIN when there are none. */
  tryBorrow(): ReceivedBytes | undefined | number;
  /**
   * The same into an object of the caller's, which may be used again after its `release`: for those who must not
   * allocate. Returns the length of the run, 0 at the end of the stream, or a negative errno.
   * @throws Error when `into` still holds a run.
   */
  tryBorrowInto(into: BorrowedBytes): number;

  /** §5.10.6.5: half-close. `send`: no more from us. `receive`: we take no more. */
  shutdown(how: "send" | "receive" | "both"): void;
  /** Sends what is queued, closes both directions, waits for the peer's RST or the close timeout in the background. */
  close(): void;
  /** Resets the connection at once; queued bytes are dropped. */
  abort(): void;

  txPath: TxPath;
  /** The receive window we advertise, in bytes (`buf_alloc`). */
  bufAlloc: number;
  /** Small writes wait for company unless this is false (TCP_NODELAY's meaning). */
  coalesce: boolean;
}

export interface VsockListener {
  readonly port: Port;
  /** Established connections that nobody has accepted, first come first served. */
  tryAccept(): VsockConnection | undefined;
  readonly pending: number;
  /** Called when `tryAccept` has something, and when nothing will come any more: the driver's `failure` is set. */
  onAcceptable: (() => void) | undefined;
  /** Refuses new connections and resets those not accepted. */
  close(): void;
}

export interface VsockDriver extends Pollable {
  /** From config space (§5.10.4); may change with a TRANSPORT_RESET event. */
  readonly guestCid: Cid;
  readonly stats: VsockDriverStats;
  /** Why the driver is over: the device broke the rules or died, or `close` was called. Every connection has ended with ENETDOWN. */
  readonly failure: string | undefined;

  /** @throws SystemError EADDRINUSE */
  listen(port: Port | undefined, backlog: number): VsockListener;
  /** Starts to connect; the outcome comes through the listener. @throws SystemError EADDRNOTAVAIL when ports run out, ENODEV for
   * this guest's own CID. */
  connect(peer: VsockAddress, options?: { localPort?: Port; timeoutMs?: number }): VsockConnection;
  /** Resets every connection and the device; tells every listener (`onAcceptable`) that nothing will come any more. */
  close(): Promise<void>;
}
