/**
 * One connection as its user holds it. The rules are the endpoint's (../connection/endpoint.ts), the bytes lie in its two
 * halves: outgoing.ts and receive-queue.ts.
 */
import type { DmaBuffer } from "@toril/memory";
import { Errno, type Timer } from "@toril/virtio/platform";
import type { VsockAddress } from "../address.ts";
import { packetAllowed } from "../connection/credit.ts";
import type { Endpoint } from "../connection/endpoint.ts";
import type { TableEntry } from "../connection/table.ts";
import type { TurnTaker } from "../connection/turns.ts";
import { MAX_PAYLOAD } from "../wire/ops.ts";
import type { BufferSlice, ConnectionListener, ReceivedBytes, TxPath, VsockConnection } from "./api.ts";
import { BorrowedBytes } from "./borrowed-bytes.ts";
import type { Listener } from "./listener.ts";
import type { LoanDesk } from "./loans.ts";
import { checkWindow } from "./options.ts";
import { Outgoing } from "./outgoing.ts";
import type { PacketBuffer, SendChunk } from "./packet.ts";
import { type ReceiveOwner, ReceiveQueue } from "./receive-queue.ts";
import type { SendQueue } from "./send-queue.ts";

/** What `listener` is to be told; or-ed in `Connection.news`. */
export const News = { Connected: 1, Readable: 2, Writable: 4, Closed: 8, Returned: 16 } as const;

/** What a connection needs of its driver. */
export interface ConnectionOwner extends ReceiveOwner {
  readonly loanDesk: LoanDesk;
  /** Most runs of payload in one packet. */
  readonly runsPerPacket: number;
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
  loansReturned(connection: Connection): void;
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
  readonly outgoing: Outgoing;
  /** What `outgoing` has queued. */
  readonly sending: SendQueue;
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
    this.outgoing = new Outgoing(this, owner, txPath);
    this.sending = this.outgoing.queue;
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
    const room = this.outgoing.room(MAX_PAYLOAD);
    if (room === 0) this.outgoing.awaitRoom();
    return room;
  }

  get lendable(): number {
    const room = this.outgoing.lendRoom(MAX_PAYLOAD);
    if (room === 0) this.outgoing.awaitRoom();
    return room;
  }

  get txPath(): TxPath {
    return this.outgoing.txPath;
  }

  set txPath(path: TxPath) {
    this.outgoing.txPath = path;
  }

  get coalesce(): boolean {
    return this.outgoing.coalesce;
  }

  set coalesce(wanted: boolean) {
    this.outgoing.coalesce = wanted;
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

  get loansMade(): number {
    return this.outgoing.loans.made;
  }

  get loansReturned(): number {
    return this.outgoing.loans.returned;
  }

  trySend(bytes: Uint8Array): number {
    return this.outgoing.send(bytes);
  }

  trySendBuffer(buffer: DmaBuffer, offset: number, length: number, onReturned?: () => void): number {
    return this.outgoing.sendBuffer(buffer, offset, length, onReturned);
  }

  trySendBuffers(parts: readonly BufferSlice[], skip: number, onReturned?: () => void): number {
    return this.outgoing.sendBuffers(parts, skip, onReturned);
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
    if (this.receiving.length === 0) {
      const why = this.#nothing();
      return why === 0 ? undefined : why;
    }
    const borrowed = new BorrowedBytes();
    this.receiving.borrow(borrowed);
    return borrowed;
  }

  tryBorrowInto(into: BorrowedBytes): number {
    if (into.isHeld) throw new Error("this object still holds borrowed bytes: release them first");
    return this.receiving.length > 0 ? this.receiving.borrow(into) : this.#nothing();
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
    return this.outgoing.wantsWrite && this.outgoing.room(1) > 0;
  }

  /** For the driver, when it cannot write: the peer would take more, so it is memory that is wanting. */
  get waitsForMemory(): boolean {
    const { sendable, credit } = this.endpoint;
    return this.outgoing.wantsWrite && sendable > 0 && packetAllowed(credit);
  }

  #dropUnread(): void {
    const dropped = this.receiving.clear();
    if (dropped > 0 && this.endpoint.consumed(dropped)) this.#owner.enlist(this);
  }

  /** Why nothing can be received: 0 at the end of the stream. */
  #nothing(): number {
    const { state } = this.endpoint;
    if (state.kind === "closed") return state.errno === 0 ? 0 : -state.errno;
    if (state.kind === "connecting") return -Errno.EAGAIN;
    return this.endpoint.inbound === "open" ? -Errno.EAGAIN : 0;
  }
}
