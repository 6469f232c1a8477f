/** One end of a connection of the memory network. */
import type { DmaBuffer } from "@toril/memory";
import { Errno } from "@toril/virtio/platform";
import {
  BorrowedBytes,
  type BufferSlice,
  type ConnectionListener,
  type Lender,
  type TxPath,
  type VsockAddress,
  type VsockConnection,
} from "@toril/vsock";

/** Linux' default vsock window. */
const DEFAULT_WINDOW = 256 * 1024;

/** Puts something on the wire: it happens in a later `poll`, in order. */
export type Wire = (event: () => void) => void;

export class MemoryConnection implements VsockConnection, Lender {
  readonly local: VsockAddress;
  readonly peer: VsockAddress;
  status: VsockConnection["status"] = "connecting";
  error = 0;
  listener: ConnectionListener = {};
  readable = 0;
  receiveEnded = false;
  txPath: TxPath = "one-copy";
  coalesce = true;
  /** The other end, once there is one. */
  other: MemoryConnection | undefined;
  /** Calls that sent something, and the bytes that were copied for them. */
  sends = 0;
  copiedBytes = 0;
  /** `trySendBuffer` calls whose buffer was lent, for tests that count copies. */
  lentSends = 0;
  /** Each arrives in order here, so the count of those that are back is that of the first ones. */
  loansReturned = 0;
  readonly #wire: Wire;
  readonly #inbox: Uint8Array[] = [];
  #window = DEFAULT_WINDOW;
  #inFlight = 0;
  wantsToWrite = false;
  #mayNotSend = false;
  #mayNotReceive = false;

  constructor(local: VsockAddress, peer: VsockAddress, wire: Wire) {
    this.local = local;
    this.peer = peer;
    this.#wire = wire;
  }

  get bufAlloc(): number {
    return this.#window;
  }
  set bufAlloc(bytes: number) {
    this.#window = bytes;
    this.#creditCameBack();
  }

  get writable(): number {
    const room = this.#room();
    if (room === 0) this.wantsToWrite = true;
    return room;
  }

  get lendable(): number {
    return this.writable;
  }

  #room(): number {
    if (this.#refusal() !== 0 || this.other === undefined) return 0;
    return Math.max(0, this.other.#window - this.other.readable - this.#inFlight);
  }

  #refusal(): number {
    if (this.error !== 0) return this.error;
    if (this.#mayNotSend || this.status === "closed" || this.status === "closing") return Errno.EPIPE;
    return this.status === "connecting" ? Errno.ENOTCONN : 0;
  }

  trySend(bytes: Uint8Array): number {
    const count = this.#admit(bytes.length);
    if (count > 0) this.#transmit(bytes.slice(0, count));
    return count;
  }

  trySendBuffer(buffer: DmaBuffer, offset: number, length: number, onReturned?: () => void): number {
    if (offset < 0 || length < 0 || offset + length > buffer.length) throw new RangeError("outside the buffer");
    const count = this.#admit(length);
    if (count < 0) return count;
    if (this.txPath !== "zero-copy" || count === 0) {
      this.#transmit(buffer.bytes.slice(offset, offset + count));
      onReturned?.();
      return count;
    }
    this.lentSends++;
    this.#lend(buffer, offset, count, () => this.#returned(onReturned));
    return count;
  }

  trySendBuffers(parts: readonly BufferSlice[], skip: number, onReturned?: () => void): number {
    const total = parts.reduce((sum, { length }) => sum + length, -skip);
    const count = this.#admit(total);
    if (count < 0) return count;
    const lends = this.txPath === "zero-copy" && count > 0;
    if (lends) this.lentSends++;
    let before = skip;
    let left = count;
    for (const { buffer, offset, length } of parts) {
      const start = Math.min(before, length);
      before -= start;
      const taken = Math.min(left, length - start);
      left -= taken;
      if (taken === 0) continue;
      const last = left === 0 ? () => this.#returned(onReturned) : () => {};
      if (lends) this.#lend(buffer, offset + start, taken, last);
      else this.#transmit(buffer.bytes.slice(offset + start, offset + start + taken));
    }
    if (!lends) onReturned?.();
    return count;
  }

  get loansMade(): number {
    return this.lentSends;
  }

  #lend(buffer: DmaBuffer, offset: number, count: number, returned: () => void): void {
    this.sends++;
    buffer.lendToRead();
    this.#inFlight += count;
    this.#wire(() => {
      const bytes = buffer.bytes.slice(offset, offset + count);
      buffer.giveBack();
      this.#inFlight -= count;
      this.other?.arrive(bytes);
      returned();
    });
  }

  #returned(onReturned: (() => void) | undefined): void {
    this.loansReturned++;
    onReturned?.();
    this.listener.onReturned?.();
  }

  /** How many of `length` bytes may go. */
  #admit(length: number): number {
    const refused = this.#refusal();
    if (refused !== 0) return -refused;
    if (length === 0) return 0;
    const room = this.#room();
    if (room < length) this.wantsToWrite = true;
    return room === 0 ? -Errno.EAGAIN : Math.min(room, length);
  }

  #transmit(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.sends++;
    this.copiedBytes += bytes.length;
    this.#inFlight += bytes.length;
    this.#wire(() => {
      this.#inFlight -= bytes.length;
      this.other?.arrive(bytes);
    });
  }

  flush(): void {}

  tryRecv(target: Uint8Array): number {
    const count = this.tryPeek(target);
    if (count > 0) this.#consume(count);
    return count;
  }

  tryPeek(target: Uint8Array): number {
    const none = this.#nothing();
    if (this.readable === 0) return none === undefined ? 0 : none;
    let filled = 0;
    for (const chunk of this.#inbox) {
      if (filled === target.length) break;
      const part = chunk.subarray(0, target.length - filled);
      target.set(part, filled);
      filled += part.length;
    }
    return filled;
  }

  tryBorrow(): BorrowedBytes | undefined | number {
    const borrowed = new BorrowedBytes();
    const length = this.tryBorrowInto(borrowed);
    if (length > 0) return borrowed;
    return length === 0 ? undefined : length;
  }

  tryBorrowInto(into: BorrowedBytes): number {
    const [bytes] = this.#inbox;
    if (bytes === undefined) return this.#nothing() ?? 0;
    this.#inbox.shift();
    this.readable -= bytes.length;
    into.fill(this, undefined, bytes.length, bytes);
    return bytes.length;
  }

  takeBack(): void {
    this.#creditCameBack();
  }

  /** What an empty inbox means: `undefined` for the end. */
  #nothing(): number | undefined {
    if (this.error !== 0) return -this.error;
    if (this.receiveEnded || this.#mayNotReceive || this.status === "closed") return undefined;
    return -Errno.EAGAIN;
  }

  #consume(count: number): void {
    this.readable -= count;
    let left = count;
    while (left > 0) {
      const [first] = this.#inbox;
      if (first === undefined) break;
      if (first.length <= left) this.#inbox.shift();
      else this.#inbox[0] = first.subarray(left);
      left -= Math.min(left, first.length);
    }
    this.#creditCameBack();
  }

  #creditCameBack(): void {
    const { other } = this;
    if (!other?.wantsToWrite) return;
    this.#wire(() => {
      if (!other.wantsToWrite || other.#room() === 0) return;
      other.wantsToWrite = false;
      other.listener.onWritable?.();
    });
  }

  arrive(bytes: Uint8Array): void {
    if (this.status === "closed" || this.#mayNotReceive) return;
    this.#inbox.push(bytes);
    this.readable += bytes.length;
    this.listener.onReadable?.();
  }

  establish(other: MemoryConnection): void {
    this.other = other;
    this.status = "established";
  }

  shutdown(how: "send" | "receive" | "both"): void {
    if (how !== "receive" && !this.#mayNotSend) {
      this.#mayNotSend = true;
      this.#wire(() => this.other?.peerEnds());
    }
    if (how === "send" || this.#mayNotReceive) return;
    this.#mayNotReceive = true;
    this.#wire(() => this.other?.peerTakesNoMore());
  }

  peerEnds(): void {
    if (this.status === "closed") return;
    this.receiveEnded = true;
    this.listener.onReadable?.();
  }

  peerTakesNoMore(): void {
    if (this.status === "closed") return;
    this.#mayNotSend = true;
    this.listener.onWritable?.();
  }

  close(): void {
    if (this.status === "closed" || this.status === "closing") return;
    this.status = "closing";
    this.#wire(() => {
      this.other?.finish(0);
      this.finish(0);
    });
  }

  abort(): void {
    if (this.status === "closed") return;
    this.finish(Errno.ECONNRESET);
    this.#wire(() => this.other?.finish(Errno.ECONNRESET));
  }

  finish(errno: number): void {
    if (this.status === "closed") return;
    this.status = "closed";
    this.error = errno;
    this.receiveEnded = true;
    if (errno !== 0) {
      this.#inbox.length = 0;
      this.readable = 0;
    }
    this.listener.onClosed?.(errno);
  }
}
