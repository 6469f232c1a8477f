/** The bus as programs see it, and as the kernel's own messages do. */
import type { WaitOptions } from "./wait.ts";

export interface BusMessage {
  /** The core that sent it. */
  readonly from: number;
  /** A copy: the receiver's own. */
  readonly bytes: Uint8Array;
}

/** The bus as one thread has it: its waits end when the thread is cancelled. */
export interface BusCalls {
  readonly core: number;
  readonly cores: number;
  /** Bytes of the longest message. */
  readonly maxMessage: number;
  /**
   * Sends a copy of the bytes; waits while the channel is full.
   * @throws SystemError EINVAL: no such core, or this one; EMSGSIZE; EHOSTDOWN: it is stopped or dead; EIO: it broke the
   * ring; ETIMEDOUT; ECANCELED.
   */
  send(core: number, bytes: Uint8Array, options?: WaitOptions): Promise<void>;
  /** The number of bytes, or a negative errno; -EAGAIN: the channel is full. */
  trySend(core: number, bytes: Uint8Array): number;
  /** The next message from any core. Cores take turns, messages of one core come in order. */
  receive(options?: WaitOptions): Promise<BusMessage>;
  tryReceive(): BusMessage | undefined;
}

/** The kernel's own messages. */
export interface ControlHandler {
  message(from: number, bytes: Uint8Array): void;
  /** Nothing will come from this core any more. */
  coreGone(core: number, reason: string): void;
}
