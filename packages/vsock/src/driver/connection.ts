/**
 * One connection as its user holds it. The rules are the endpoint's (../connection/endpoint.ts); here are the bytes: what
 * is queued to go out, what has come in. When packets go into the ring is the driver's business.
 */
import { addressAt, type DmaBuffer } from "@toril/memory";
import { Errno, type Timer } from "@toril/virtio/platform";
import type { VsockAddress } from "../address.ts";
import { packetAllowed } from "../connection/credit.ts";
import type { Endpoint } from "../connection/endpoint.ts";
import type { TableEntry } from "../connection/table.ts";
import type { TurnTaker } from "../connection/turns.ts";
import { MAX_PAYLOAD } from "../wire/ops.ts";
import type { ConnectionListener, ReceivedBytes, TxPath, VsockConnection } from "./api.ts";
import type { Listener } from "./listener.ts";
import { checkWindow } from "./options.ts";
import { type PacketBuffer, SendChunk } from "./packet.ts";
import { type ReceiveOwner, ReceiveQueue } from "./receive-queue.ts";
import { SendQueue } from "./send-queue.ts";

/** Below this a copy costs less than a second descriptor, a loan and its end. */
const ZERO_COPY_MIN = 1024;
/**
 * Most bytes of lent buffers that one connection queues ahead of its credit. They cost the driver no memory; whoever
 * lends what others need (a cache) lends no more than `writable` says, or a stalled peer holds it.
 */
const MAX_LENT_AHEAD = 4_194_304;

/** What `listener` is to be told; or-ed in `Connection.news`. */
export const News = { Connected: 1, Readable: 2, Writable: 4, Closed: 8 } as const;

/** What a connection needs of its driver. */
export interface ConnectionOwner extends ReceiveOwner {
  takePacket(payload: number): PacketBuffer | undefined;
  /** The capacity of what `takePacket` would give; 0: nothing. */
  offerPacket(payload: number): number;
  /** The connection has something to send when its turn comes. */
  enlist(connection: Connection): void;
  /** Hands over what can go now. */
  sendNow(connection: Connection): void;
  /** A send failed for want of credit, or of packet memory. */
  blockedOn(connection: Connection, what: "credit" | "memory"): void;
  announce(connection: Connection, news: number): void;
  chunkReturned(chunk: SendChunk): void;
  /** The endpoint's state may have changed by a wish of the user. */
  signalled(connection: Connection, signals: number): void;
}

export class Connection implements VsockConnection, TableEntry, TurnTaker {
  readonly local: VsockAddress;
  readonly peer: VsockAddress;
  readonly peerCid: number;
  readonly peerPort: number;
  readonly localPort: number;
  readonly endpoint: Endpoint;
  listener: ConnectionListener = {};
  txPath: TxPath;
  coalesce = true;
  readonly sending: SendQueue = new SendQueue();
  readonly receiving: ReceiveQueue;
  turns = 0;
  /** What the listener has not been told yet. */
  news = 0;
  /** The listener that holds it until somebody accepts it. */
  waitsFor: Listener | undefined;
  /** The connect timer, then the close timer. */
  timer: Timer | undefined;
  askTimer: Timer | undefined;
  askDelayMs = 0;
  /** The close timer runs. */
  closeTimed = false;
  /** When it ran out of credit; -1: it has some. */
  creditStalledAt = -1;
  /** Nobody will read any more: the user has closed it. */
  abandoned = false;
  wantsWrite = false;
  /** It was established, and counts as open. */
  counted = false;
  readonly #owner: ConnectionOwner;

  constructor(owner: ConnectionOwner, local: VsockAddress, peer: VsockAddress, endpoint: Endpoint, txPath: TxPath) {
    this.#owner = owner;
    this.local = local;
    this.peer = peer;
    this.peerCid = peer.cid;
    this.peerPort = peer.port;
    this.localPort = local.port;
    this.endpoint = endpoint;
    this.txPath = txPath;
    this.receiving = new ReceiveQueue(owner, (bytes) => {
      if (endpoint.consumed(bytes)) owner.enlist(this);
    });
  }

  get status(): VsockConnection["status"] {
    const { state } = this.endpoint;
    if (state.kind !== "established") return state.kind;
    return state.outbound === "draining" && state.inbound !== "open" ? "closing" : "established";
  }

  get error(): number {
    const { state } = this.endpoint;
    return state.kind === "closed" ? state.errno : 0;
  }

  get readable(): number {
    return this.receiving.length;
  }

  get receiveEnded(): boolean {
    return this.endpoint.inbound !== "open" || this.endpoint.state.kind === "closed";
  }

  get writable(): number {
    const room = this.#room(MAX_PAYLOAD);
    if (room === 0) this.#awaitRoom();
    return room;
  }

  get bufAlloc(): number {
    return this.endpoint.credit.bufAlloc;
  }

  /** @throws RangeError when it is not 1 … 2^30. */
  set bufAlloc(bytes: number) {
    checkWindow(bytes);
    this.endpoint.resizeWindow(bytes);
    this.#owner.enlist(this);
  }

  trySend(bytes: Uint8Array): number {
    const refusal = this.#refusal();
    if (refusal !== 0) return refusal;
    if (this.txPath === "zero-copy" && bytes.length > 0) this.#owner.stats.zeroCopyFallbacks++;
    return this.#sendCopy(bytes.length, bytes, undefined, 0);
  }

  trySendBuffer(buffer: DmaBuffer, offset: number, length: number, onReturned?: () => void): number {
    if (!(Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0)) {
      throw new RangeError(`offset ${offset} and length ${length} of a buffer must be whole and not negative`);
    }
    if (offset + length > buffer.length) {
      throw new RangeError(`${length} bytes from ${offset} are not in a buffer of ${buffer.length}`);
    }
    const refusal = this.#refusal();
    if (refusal !== 0) return refusal;
    const inGuestMemory = buffer.memory === this.#owner.memory;
    if (this.txPath === "zero-copy" && length >= ZERO_COPY_MIN && inGuestMemory) {
      return this.#lend(buffer, offset, length, onReturned);
    }
    if (this.txPath === "zero-copy" && length > 0) this.#owner.stats.zeroCopyFallbacks++;
    const { bytes } = buffer; // throws when the buffer may not be read
    const sent = inGuestMemory
      ? this.#sendCopy(length, undefined, buffer, offset)
      : this.#sendCopy(length, bytes.subarray(offset, offset + length), undefined, 0);
    if (sent >= 0) onReturned?.();
    return sent;
  }

  flush(): void {
    if (this.sending.count > 0) this.#owner.sendNow(this);
  }

  tryRecv(target: Uint8Array): number {
    if (target.length === 0) return 0;
    return this.receiving.length > 0 ? this.receiving.read(target) : this.#nothing();
  }

  tryPeek(target: Uint8Array): number {
    if (target.length === 0) return 0;
    return this.receiving.length > 0 ? this.receiving.peek(target) : this.#nothing();
  }

  tryBorrow(): ReceivedBytes | undefined | number {
    const borrowed = this.receiving.borrow();
    if (borrowed !== undefined) return borrowed;
    const why = this.#nothing();
    return why === 0 ? undefined : why;
  }

  shutdown(how: "send" | "receive" | "both"): void {
    if (how === "both") this.#owner.signalled(this, this.endpoint.request("end"));
    else this.#owner.signalled(this, this.endpoint.request(how === "send" ? "end-send" : "end-receive"));
    if (how !== "send") this.#dropUnread();
  }

  close(): void {
    this.abandoned = true;
    this.#owner.signalled(this, this.endpoint.request("end"));
    this.#dropUnread();
  }

  abort(): void {
    this.abandoned = true;
    this.#owner.signalled(this, this.endpoint.request("abort"));
    this.#dropUnread();
  }

  /** For the listener: the user has it now. */
  accepted(): void {
    this.waitsFor = undefined;
  }

  /** For the driver: bytes can be sent that could not be before. */
  canWrite(): boolean {
    return this.wantsWrite && this.#room(1) > 0;
  }

  /** For the driver: what is queued will never be sent. */
  dropQueued(): void {
    for (const chunk of this.sending.drop()) if (chunk.inRing === 0) this.#owner.chunkReturned(chunk);
  }

  #dropUnread(): void {
    const dropped = this.receiving.clear();
    if (dropped > 0 && this.endpoint.consumed(dropped)) this.#owner.enlist(this);
  }

  /** Why nothing can be sent, ever again or now; 0 when it can. */
  #refusal(): number {
    const { state } = this.endpoint;
    switch (state.kind) {
      case "established":
        return state.outbound === "open" ? 0 : -Errno.EPIPE;
      case "connecting":
        this.wantsWrite = true;
        return -Errno.EAGAIN;
      case "closing":
        return -Errno.EPIPE;
      case "closed":
        return state.errno === 0 ? -Errno.EPIPE : -state.errno;
      default: {
        const never: never = state;
        return never;
      }
    }
  }

  /** Why nothing can be received: 0 at the end of the stream. */
  #nothing(): number {
    const { state } = this.endpoint;
    if (state.kind === "closed") return state.errno === 0 ? 0 : -state.errno;
    if (state.kind === "connecting") return -Errno.EAGAIN;
    return this.endpoint.inbound === "open" ? -Errno.EAGAIN : 0;
  }

  /**
   * Bytes that can be copied and queued now. Within the peer's credit: then packets wait for the ring only, and memory
   * never sticks to a stalled peer. When the peer cannot take more packets, no more than what fills one packet.
   */
  #room(atMost: number): number {
    const { endpoint, sending } = this;
    const credit = endpoint.sendable;
    if (credit === 0) return 0;
    const { tail } = sending;
    const inTail = tail?.source.kind === "packet" ? tail.source.buffer.capacity - tail.length : 0;
    if (sending.count > 0 && !packetAllowed(endpoint.credit)) return Math.min(credit, inTail);
    if (inTail >= atMost) return Math.min(credit, inTail);
    return Math.min(credit, inTail + this.#owner.offerPacket(atMost));
  }

  /** Copies from `bytes`, or from `buffer` at `offset`. */
  #sendCopy(length: number, bytes: Uint8Array | undefined, buffer: DmaBuffer | undefined, offset: number): number {
    if (length === 0) return 0;
    const { endpoint, sending } = this;
    const credit = endpoint.sendable;
    const limit = Math.min(length, credit);
    let done = 0;
    while (done < limit) {
      let chunk = sending.tail;
      if (chunk === undefined) {
        if (sending.count > 0 && !packetAllowed(endpoint.credit)) break;
        // Whoever writes a second packet before the first has gone will write more: give it a large one.
        const packet = this.#owner.takePacket(sending.count > 0 ? MAX_PAYLOAD : limit - done);
        if (packet === undefined) {
          this.#owner.blockedOn(this, "memory");
          break;
        }
        chunk = packet.chunk;
        sending.add(chunk);
      } else if (done === 0) {
        this.#owner.stats.coalescedWrites++;
      }
      done += this.#append(chunk, limit - done, bytes, buffer, offset, done);
    }
    if (done > 0) {
      this.#owner.stats.txCopied.userToPacket += done;
      endpoint.enqueue(done);
      this.#handOver();
    }
    if (done < length) {
      this.wantsWrite = true;
      if (done === credit || endpoint.blockedOnCredit) this.#starve();
    }
    return done > 0 ? done : -Errno.EAGAIN;
  }

  #append(
    chunk: SendChunk,
    most: number,
    bytes: Uint8Array | undefined,
    buffer: DmaBuffer | undefined,
    offset: number,
    done: number,
  ): number {
    if (chunk.source.kind !== "packet") return 0;
    const count = Math.min(most, chunk.source.buffer.capacity - chunk.length);
    const target = addressAt(chunk.address, chunk.length);
    const { memory } = this.#owner;
    if (buffer !== undefined) memory.copy(target, addressAt(buffer.address, offset + done), count);
    else if (bytes !== undefined) {
      memory.write(target, count === bytes.length ? bytes : bytes.subarray(done, done + count));
    }
    chunk.length += count;
    return count;
  }

  #lend(buffer: DmaBuffer, offset: number, length: number, onReturned: (() => void) | undefined): number {
    const count = Math.min(length, MAX_LENT_AHEAD - this.sending.lent);
    if (count <= 0) {
      this.wantsWrite = true;
      return -Errno.EAGAIN;
    }
    buffer.lendToRead();
    this.sending.add(new SendChunk({ kind: "lent", buffer, onReturned }, addressAt(buffer.address, offset), count));
    this.#owner.stats.zeroCopySends++;
    this.endpoint.enqueue(count);
    if (count < length) this.wantsWrite = true;
    this.#owner.sendNow(this);
    if (this.endpoint.blockedOnCredit) this.#starve();
    return count;
  }

  /** A packet that can still grow waits for company; anything else goes now. */
  #handOver(): void {
    const onlyTail = this.sending.count === 1 && this.sending.tail !== undefined;
    if (this.coalesce && onlyTail) this.#owner.enlist(this);
    else this.#owner.sendNow(this);
  }

  /** The same promise that a send without room makes: the listener hears when there is some. */
  #awaitRoom(): void {
    this.wantsWrite = true;
    if (this.#refusal() !== 0) return;
    if (this.endpoint.sendable === 0 || this.endpoint.blockedOnCredit) this.#starve();
    else this.#owner.blockedOn(this, "memory");
  }

  #starve(): void {
    this.endpoint.starve();
    this.#owner.blockedOn(this, "credit");
  }
}
