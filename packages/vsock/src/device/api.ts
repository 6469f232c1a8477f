/**
 * The face that the vsock device shows to the host: who takes the guest's connections, and how the host opens its own.
 * The same shapes carry TCP bridges, Unix-socket bridges and handlers in this process.
 */
import type { Port } from "../address.ts";

/** Bytes from the guest, still in guest memory. They hold a slot of the TX ring until released: be quick. */
export interface GuestBytes {
  readonly bytes: Uint8Array;
  /** Of `bytes`, without making the view. */
  readonly length: number;
  /**
   * Hands the bytes back: the guest gets its buffer and its credit. Once only.
   * A handler that is slow is not a danger: after a few such chunks, or a short time, the device copies the rest to host
   * memory (within buf_alloc, counted) and returns the guest's buffers. `bytes` must not be kept after `release`.
   */
  release(): void;
}

/** The host's end of one connection, as the device calls it. Must not throw: a throw resets the connection. */
export interface HostHandler {
  /** The connection is established in both directions. */
  opened?(): void;
  data(chunk: GuestBytes): void;
  /** The guest will send no more (SHUTDOWN with the send flag). */
  end(): void;
  /** The guest will receive no more: stop reading from the host's side. */
  receiveEnded?(): void;
  /** There is room toward the guest again after `write` took less than it was given. */
  drain(): void;
  /** It is over; 0 in order, else an errno (ECONNREFUSED, ECONNRESET, ETIMEDOUT, ENETDOWN). No call follows. */
  closed(errno: number): void;
}

/** The device's end of one connection, as the host calls it. */
export interface GuestStream {
  readonly guestPort: Port;
  readonly hostPort: Port;
  /** Bytes that `write` would take now. */
  readonly writable: number;
  /** Copies bytes toward the guest, as far as its credit and a small bounded queue allow; returns how many were taken. */
  write(bytes: Uint8Array): number;
  /** No more bytes toward the guest, after those that were taken. */
  end(): void;
  /** No more bytes from the guest are wanted. */
  endReceive(): void;
  /** Resets the connection. */
  destroy(): void;
}

/** Decides about a guest's connection request: a handler accepts it, `undefined` refuses it (RST). */
export type HostPortHandler = (stream: GuestStream) => HostHandler | undefined;
