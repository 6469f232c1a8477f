/** The waits of the socket calls: each holds what its operation still needs, and tries it when its turn and an event come. */
import { Errno, type SystemError } from "@toril/virtio/platform";
import type { BufferSlice, ReceivedBytes, VsockConnection } from "@toril/vsock";
import type { WaitOptions } from "./calls.ts";
import { SendError } from "./errors.ts";
import type { SocketHandle } from "./handle.ts";
import type { Loans } from "./loans.ts";
import { Wait, type WaitQueue, type WaitScope } from "./wait.ts";

/** recv and peek: they differ only in what they call. */
export class ReceiveWait extends Wait<number> {
  readonly #connection: VsockConnection;
  readonly #target: Uint8Array;

  constructor(
    syscall: "recv" | "peek",
    scope: WaitScope,
    queue: WaitQueue,
    connection: VsockConnection,
    target: Uint8Array,
    options?: WaitOptions,
  ) {
    super(syscall, scope, queue, options);
    this.#connection = connection;
    this.#target = target;
  }

  attempt(): boolean {
    const target = this.#target;
    const count = this.syscall === "recv" ? this.#connection.tryRecv(target) : this.#connection.tryPeek(target);
    if (count === -Errno.EAGAIN) return false;
    if (count < 0) this.fail(-count);
    else this.succeed(count);
    return true;
  }
}

export class BorrowWait extends Wait<ReceivedBytes | undefined> {
  readonly #connection: VsockConnection;

  constructor(scope: WaitScope, queue: WaitQueue, connection: VsockConnection, options?: WaitOptions) {
    super("borrow", scope, queue, options);
    this.#connection = connection;
  }

  attempt(): boolean {
    const received = this.#connection.tryBorrow();
    if (typeof received !== "number") this.succeed(received);
    else if (received === -Errno.EAGAIN) return false;
    else this.fail(-received);
    return true;
  }
}

/** All sends: several at a time do not mix, because the first in the queue goes on until all its bytes are taken. */
abstract class TransferWait extends Wait<number> {
  #sent: number;
  readonly #length: number;

  constructor(
    syscall: "send" | "sendBuffer" | "sendBuffers",
    scope: WaitScope,
    queue: WaitQueue,
    length: number,
    sent: number,
    options: WaitOptions | undefined,
  ) {
    super(syscall, scope, queue, options);
    this.#length = length;
    this.#sent = sent;
  }

  protected abstract transfer(sent: number): number;

  attempt(): boolean {
    const count = this.transfer(this.#sent);
    if (count === -Errno.EAGAIN) return false;
    if (count < 0) {
      this.fail(-count);
      return true;
    }
    this.#sent += count;
    if (this.#sent < this.#length) return false;
    this.succeed(this.#sent);
    return true;
  }

  protected override failure(errno: number, detail?: string): SystemError {
    return new SendError(errno, this.syscall, this.#sent, detail);
  }
}

export class SendWait extends TransferWait {
  readonly #connection: VsockConnection;
  readonly #bytes: Uint8Array;

  constructor(
    scope: WaitScope,
    queue: WaitQueue,
    connection: VsockConnection,
    bytes: Uint8Array,
    sent: number,
    options?: WaitOptions,
  ) {
    super("send", scope, queue, bytes.length, sent, options);
    this.#connection = connection;
    this.#bytes = bytes;
  }

  protected transfer(sent: number): number {
    return this.#connection.trySend(sent === 0 ? this.#bytes : this.#bytes.subarray(sent));
  }
}

export class SendBuffersWait extends TransferWait {
  readonly #connection: VsockConnection;
  readonly #parts: readonly BufferSlice[];
  readonly #loans: Loans;

  constructor(
    syscall: "sendBuffer" | "sendBuffers",
    scope: WaitScope,
    queue: WaitQueue,
    connection: VsockConnection,
    parts: readonly BufferSlice[],
    total: number,
    sent: number,
    loans: Loans,
    options?: WaitOptions,
  ) {
    super(syscall, scope, queue, total, sent, options);
    this.#connection = connection;
    this.#parts = parts;
    this.#loans = loans;
  }

  protected transfer(sent: number): number {
    return this.#loans.send(this.#connection, this.#parts, sent);
  }
}

export class AcceptWait extends Wait<SocketHandle> {
  readonly #accept: () => SocketHandle | undefined | number;

  /** @param accept a new socket, `undefined` when none is waiting, or a negative errno. */
  constructor(
    scope: WaitScope,
    queue: WaitQueue,
    accept: () => SocketHandle | undefined | number,
    options?: WaitOptions,
  ) {
    super("accept", scope, queue, options);
    this.#accept = accept;
  }

  attempt(): boolean {
    const accepted = this.#accept();
    if (accepted === undefined) return false;
    if (typeof accepted === "number") this.fail(-accepted);
    else this.succeed(accepted);
    return true;
  }
}

/** Held by the socket's `connecting` state. A wait that is cut short takes the attempt to connect with it. */
export class ConnectWait extends Wait<void> {
  readonly #giveUp: () => void;

  constructor(scope: WaitScope, giveUp: () => void, options?: WaitOptions) {
    super("connect", scope, undefined, options);
    this.#giveUp = giveUp;
  }

  attempt(): boolean {
    return false;
  }

  override cancel(reason: unknown): void {
    this.#giveUp();
    super.cancel(reason);
  }

  protected override timedOut(timeoutMs: number): void {
    this.#giveUp();
    super.timedOut(timeoutMs);
  }
}
