/** The calls that move bytes, and select: first their `try…`, and a promise that waits only when that cannot do it. */
import type { DmaBuffer } from "@toril/memory";
import { type AbortSignalLike, type Clock, Errno, SystemError } from "@toril/virtio/platform";
import type { BorrowedBytes, ReceivedBytes } from "@toril/vsock";
import type { BufferSlice, Readiness, SendBufferOptions, WaitOptions } from "./calls.ts";
import { SendError } from "./errors.ts";
import { isReached, Loans, LoanWait } from "./loans.ts";
import { asHandle, connectionOf, handleOf, handlesOf, notASocket, refuse } from "./lookup.ts";
import { SelectWait } from "./select.ts";
import type { Socket } from "./socket.ts";
import { type Cancellable, refusal, type WaitScope } from "./wait.ts";
import { BorrowWait, ReceiveWait, SendBuffersWait, SendWait } from "./waits.ts";

export class TransferCalls implements WaitScope {
  readonly clock: Clock;
  readonly signal: AbortSignalLike | undefined;
  readonly waits: Set<Cancellable> = new Set();

  constructor(clock: Clock, signal: AbortSignalLike | undefined) {
    this.clock = clock;
    this.signal = signal;
  }

  // Sending.

  trySend(socket: Socket, bytes: Uint8Array): number {
    return handleOf(socket, "send").trySend(bytes);
  }

  send(socket: Socket, bytes: Uint8Array, options?: WaitOptions): Promise<number> {
    const refused = refusal("send", this, options);
    if (refused !== undefined) return Promise.reject(refused);
    const handle = asHandle(socket);
    if (handle === undefined) return Promise.reject(notASocket("send"));
    const count = handle.trySend(bytes);
    if (count === bytes.length) return Promise.resolve(count);
    if (count < 0 && count !== -Errno.EAGAIN) return Promise.reject(new SendError(-count, "send", 0));
    const connection = handle.connected();
    if (typeof connection === "number") return Promise.reject(new SendError(-connection, "send", 0));
    return new SendWait(this, handle.writers, connection, bytes, Math.max(count, 0), options).promise;
  }

  trySendBuffer(socket: Socket, buffer: DmaBuffer, offset: number, length: number, onReturned?: () => void): number {
    const handle = handleOf(socket, "sendBuffer");
    const connection = handle.connected();
    if (typeof connection === "number") return connection;
    if (handle.writers.head !== undefined) return -Errno.EAGAIN;
    return connection.trySendBuffer(buffer, offset, length, onReturned);
  }

  trySendBuffers(socket: Socket, parts: readonly BufferSlice[], skip: number, onReturned?: () => void): number {
    const handle = handleOf(socket, "sendBuffers");
    const connection = handle.connected();
    if (typeof connection === "number") return connection;
    if (handle.writers.head !== undefined) return -Errno.EAGAIN;
    return connection.trySendBuffers(parts, skip, onReturned);
  }

  sendBuffer(socket: Socket, slice: BufferSlice, options?: SendBufferOptions): Promise<number> {
    return this.#sendBuffers("sendBuffer", socket, [slice], options);
  }

  sendBuffers(socket: Socket, parts: readonly BufferSlice[], options?: SendBufferOptions): Promise<number> {
    return this.#sendBuffers("sendBuffers", socket, parts, options);
  }

  async #sendBuffers(
    syscall: "sendBuffer" | "sendBuffers",
    socket: Socket,
    parts: readonly BufferSlice[],
    options?: SendBufferOptions,
  ): Promise<number> {
    const loans = new Loans(options?.onReturned);
    try {
      refuse(syscall, this, options);
      const handle = handleOf(socket, syscall);
      const connection = handle.connected();
      if (typeof connection === "number") throw new SendError(-connection, syscall, 0);
      const total = parts.reduce((sum, { length }) => sum + length, 0);
      let sent = 0;
      if (handle.writers.head === undefined) {
        const count = loans.send(connection, parts, 0);
        if (count < 0 && count !== -Errno.EAGAIN) throw new SendError(-count, syscall, 0);
        sent = Math.max(count, 0);
        if (count === total) return sent;
      }
      return await new SendBuffersWait(syscall, this, handle.writers, connection, parts, total, sent, loans, options)
        .promise;
    } finally {
      loans.finish();
      if (options?.settle === "returned") await loans.over;
    }
  }

  loansMade(socket: Socket): number {
    const connection = handleOf(socket, "loansMade").connected();
    return typeof connection === "number" ? connection : connection.loansMade;
  }

  loansReturned(socket: Socket): number {
    const connection = handleOf(socket, "loansReturned").connected();
    return typeof connection === "number" ? connection : connection.loansReturned;
  }

  async loansOver(socket: Socket, count?: number, options?: WaitOptions): Promise<number> {
    refuse("loansOver", this, options);
    const handle = handleOf(socket, "loansOver");
    const connection = handle.connected();
    if (typeof connection === "number") throw new SystemError(-connection, "loansOver");
    const wanted = count ?? connection.loansMade;
    if (isReached(connection.loansReturned, wanted)) return connection.loansReturned;
    return new LoanWait(this, handle.lenders, connection, wanted, options).promise;
  }

  sendRoom(socket: Socket): number {
    return handleOf(socket, "sendRoom").sendRoom();
  }

  flush(socket: Socket): void {
    connectionOf(socket, "flush").flush();
  }

  // Receiving.

  tryRecv(socket: Socket, target: Uint8Array): number {
    return handleOf(socket, "recv").tryRecv(target);
  }

  tryPeek(socket: Socket, target: Uint8Array): number {
    return handleOf(socket, "peek").tryPeek(target);
  }

  tryBorrow(socket: Socket): ReceivedBytes | undefined | number {
    return handleOf(socket, "borrow").tryBorrow();
  }

  tryBorrowInto(socket: Socket, into: BorrowedBytes): number {
    return handleOf(socket, "borrow").tryBorrowInto(into);
  }

  recv(socket: Socket, target: Uint8Array, options?: WaitOptions): Promise<number> {
    return this.#receive("recv", socket, target, options);
  }

  peek(socket: Socket, target: Uint8Array, options?: WaitOptions): Promise<number> {
    return this.#receive("peek", socket, target, options);
  }

  #receive(syscall: "recv" | "peek", socket: Socket, target: Uint8Array, options?: WaitOptions): Promise<number> {
    const refused = refusal(syscall, this, options);
    if (refused !== undefined) return Promise.reject(refused);
    const handle = asHandle(socket);
    if (handle === undefined) return Promise.reject(notASocket(syscall));
    const count = syscall === "recv" ? handle.tryRecv(target) : handle.tryPeek(target);
    if (count >= 0) return Promise.resolve(count);
    const connection = handle.connected();
    if (count !== -Errno.EAGAIN || typeof connection === "number") {
      return Promise.reject(new SystemError(-count, syscall));
    }
    return new ReceiveWait(syscall, this, handle.readers, connection, target, options).promise;
  }

  async borrow(socket: Socket, options?: WaitOptions): Promise<ReceivedBytes | undefined> {
    refuse("borrow", this, options);
    const handle = handleOf(socket, "borrow");
    const received = handle.tryBorrow();
    if (typeof received !== "number") return received;
    const connection = handle.connected();
    if (received !== -Errno.EAGAIN || typeof connection === "number") throw new SystemError(-received, "borrow");
    return new BorrowWait(this, handle.readers, connection, options).promise;
  }

  // Many sockets.

  trySelect(want: { read?: readonly Socket[]; write?: readonly Socket[] }): Readiness {
    const readable = handlesOf(want.read).filter((handle) => handle.readable);
    const writable = handlesOf(want.write).filter((handle) => handle.writable);
    return { readable, writable };
  }

  async select(
    want: { read?: readonly Socket[]; write?: readonly Socket[] },
    options?: WaitOptions,
  ): Promise<Readiness> {
    refuse("select", this, options);
    const now = this.trySelect(want);
    if (now.readable.length + now.writable.length > 0 || options?.timeoutMs === 0) return now;
    return new SelectWait(this, handlesOf(want.read), handlesOf(want.write), options).promise;
  }
}
