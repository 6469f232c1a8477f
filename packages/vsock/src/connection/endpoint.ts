/**
 * The connection state machine: one end of one stream connection (virtio 1.3 §5.10.6.5), the same for driver and device.
 * It knows no queues, buffers or clocks. Its owner tells it what happened and carries out what it answers.
 *
 *     packet from the peer ──► receive() ─┐
 *     wish of the user     ──► request() ─┼─► #settle() ─► signals for the owner, packets owed to the peer
 *     room for a packet    ──► take()    ─┘
 *
 * A primer. REQUEST → RESPONSE opens. RW carries bytes, within the peer's credit. SHUTDOWN says that its sender will
 * send no more, receive no more, or both, for ever. Whoever has heard both answers RST; then the port pair is free. RST
 * at any other time breaks the connection, and is never answered.
 *
 * One door: all three entries end in `#settle`, which alone derives the state from what each side has said. What must
 * still be told to the peer is a set of flags and never a queue, so an end that cannot send owes a bounded amount, and
 * packets can be received while none can be sent (§5.10.6.1.1).
 */
import { Errno } from "@toril/virtio/platform";
import type { PacketHeader } from "../wire/header.ts";
import { MAX_PAYLOAD, Op, ShutdownFlag } from "../wire/ops.ts";
import {
  Credit,
  type CreditUpdates,
  countConsumed,
  countReceived,
  countReported,
  countSent,
  learn,
  MAX_WINDOW,
  packetAllowed,
  peerFree,
  updateDue,
} from "./credit.ts";
import { Signal, type Wish } from "./signals.ts";
import {
  CLOSING,
  CONNECTING,
  type ConnectionState,
  closed,
  established,
  type Inbound,
  type Outbound,
} from "./state.ts";

/** Packets owed to the peer. SHUTDOWN follows from the state; only its repetition is owed. */
const Owed = { Request: 1, Response: 2, Rst: 4, CreditReply: 8, CreditRequest: 16, ShutdownAgain: 32 } as const;

export class Endpoint {
  readonly credit: Credit;
  #state: ConnectionState = CONNECTING;
  #outbound: Outbound = "open";
  #inbound: Inbound = "open";
  #owed = 0;
  #peerShutdown = 0;
  /** The flags of SHUTDOWN that the peer has been told. */
  #toldShutdown = 0;
  #queued = 0;
  #starved = false;
  #askedForCredit = false;

  private constructor(bufAlloc: number, start: number, updates: CreditUpdates | undefined) {
    this.credit = new Credit(Math.min(bufAlloc, MAX_WINDOW), start, updates);
  }

  /** The end that asks for a connection: owes REQUEST. */
  static connecting(bufAlloc: number, counterStart = 0, updates?: CreditUpdates): Endpoint {
    const endpoint = new Endpoint(bufAlloc, counterStart, updates);
    endpoint.#owed = Owed.Request;
    return endpoint;
  }

  /** The end that accepts a REQUEST: established at once, owes RESPONSE. */
  static accepting(request: PacketHeader, bufAlloc: number, counterStart = 0, updates?: CreditUpdates): Endpoint {
    const endpoint = new Endpoint(bufAlloc, counterStart, updates);
    endpoint.#owed = Owed.Response;
    endpoint.#state = established("open", "open");
    learn(endpoint.credit, request.bufAlloc, request.fwdCnt);
    return endpoint;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get outbound(): Outbound {
    return this.#outbound;
  }

  get inbound(): Inbound {
    return this.#inbound;
  }

  /** Bytes that the owner holds for the peer and has not sent. */
  get queued(): number {
    return this.#queued;
  }

  /** Bytes that may be queued and will go out without waiting for credit. */
  get sendable(): number {
    if (this.#state.kind !== "established" || this.#outbound !== "open") return 0;
    return Math.max(0, peerFree(this.credit) - this.#queued);
  }

  /** Nothing more will be sent, not even an RST: the owner may forget it. */
  get finished(): boolean {
    return this.#state.kind === "closed" && this.#owed === 0;
  }

  /** The owner holds `bytes` more for the peer. @throws RangeError when the user may not send any more. */
  enqueue(bytes: number): void {
    if (this.#state.kind !== "established" || this.#outbound !== "open") {
      throw new RangeError(`${bytes} bytes queued on a connection that is ${this.#state.kind}, ${this.#outbound}`);
    }
    this.#queued += bytes;
  }

  /** Takes back what was queued last and not sent. @throws RangeError when less than that is queued. */
  retract(bytes: number): void {
    if (bytes > this.#queued) throw new RangeError(`${bytes} bytes retracted of ${this.#queued}`);
    this.#queued -= bytes;
  }

  /** The user would send more if there were credit: lets `take` ask for it. */
  starve(): void {
    this.#starved = true;
  }

  /** The user is waiting, or bytes are, and there is no credit. */
  get blockedOnCredit(): boolean {
    if (this.#state.kind !== "established") return false;
    return (this.#queued > 0 || (this.#starved && this.#outbound === "open")) && !this.#maySend();
  }

  /** Lets `take` ask for credit once more: some peers answer, but never tell by themselves. */
  askAgain(): void {
    this.#askedForCredit = false;
  }

  /** Lets `take` repeat the SHUTDOWN of both directions, as long as the peer has not confirmed it. */
  tellAgain(): void {
    if (this.#state.kind === "closing") this.#owed |= Owed.ShutdownAgain;
  }

  /** The user has taken `bytes` received bytes. `true` when the peer should hear of it soon: call `take`. */
  consumed(bytes: number): boolean {
    countConsumed(this.credit, bytes);
    return this.#state.kind !== "closed" && updateDue(this.credit);
  }

  /** Changes our receive window; the peer hears of it with the next packet. */
  resizeWindow(bufAlloc: number): void {
    this.credit.bufAlloc = Math.min(bufAlloc, MAX_WINDOW);
    if (this.#state.kind === "established") this.#owed |= Owed.CreditReply;
  }

  /** A packet for this connection. `payload`: bytes that came with it (already checked against what was received). */
  receive(header: PacketHeader, payload: number): number {
    if (this.#state.kind === "closed") return Signal.None; // at most our RST is still owed, and that says it all
    if (header.op === Op.Rst) {
      // §5.10.6.5: never answered; whatever else was owed is moot.
      this.#owed = 0;
      return this.#close(this.#resetErrno());
    }
    if (this.#state.kind === "connecting") {
      // §5.10.6.5: only RESPONSE (or RST) answers a REQUEST.
      if (header.op !== Op.Response) return this.#violate();
      if (learn(this.credit, header.bufAlloc, header.fwdCnt) === "lie") return this.#violate();
      this.#state = established("open", "open");
      return this.#settle(Signal.Connected | Signal.Credit);
    }

    const room = this.#maySend() ? peerFree(this.credit) : 0;
    if (learn(this.credit, header.bufAlloc, header.fwdCnt) === "lie") return this.#violate();
    let signals = Signal.None;
    if (this.#maySend() && (room === 0 || peerFree(this.credit) > room)) {
      this.#askedForCredit = false;
      this.#starved = false;
      signals = Signal.Credit;
    }
    switch (header.op) {
      case Op.Rw:
        return this.#receiveData(payload, signals);
      case Op.Shutdown:
        this.#peerShutdown |= header.flags & ShutdownFlag.Both; // permanent (§5.10.6.5)
        return this.#settle(signals);
      case Op.CreditUpdate:
        return signals;
      case Op.CreditRequest:
        // Answered, unless the peer has asked before and heard all there is: it hears as soon as that changes. Not said at
        // once each time, since vhost-device-vsock asks again at once, in a loop that does nothing else (1.2 million times).
        if (!this.credit.peerStarved || this.credit.fwdCnt !== this.credit.reportedFwdCnt)
          this.#owed |= Owed.CreditReply;
        this.credit.peerStarved = true;
        return signals;
      case Op.Invalid:
        // Never sent, says §5.10.6; vhost-device-vsock sends it when it finds nothing to read. Linux ignores it, too.
        return signals;
      default:
        // REQUEST or RESPONSE out of place, or an operation that does not exist.
        return this.#violate();
    }
  }

  #receiveData(payload: number, signals: number): number {
    if (payload === 0) return signals;
    // A peer that said "no more", or that exceeds what we promised, has lost its mind.
    if ((this.#peerShutdown & ShutdownFlag.Send) !== 0 || !countReceived(this.credit, payload)) return this.#violate();
    if (this.#inbound === "open") return signals | Signal.Data;
    // We take no more, but these were under way: gone, and their credit goes back.
    countConsumed(this.credit, payload);
    return signals;
  }

  /** A wish of the user or the owner. */
  request(wish: Wish): number {
    if (this.#state.kind === "closed") return Signal.None;
    switch (wish) {
      case "abort":
        return this.#break(Errno.ECONNABORTED);
      case "violation":
        return this.#violate();
      case "timeout":
        // §5.10.6.5: "a VIRTIO_VSOCK_OP_RST packet is sent to forcibly disconnect the socket"
        return this.#break(Errno.ETIMEDOUT);
      case "transport-reset":
        this.#owed = 0;
        return this.#close(Errno.ECONNRESET);
      case "peer-gone":
        this.#owed = 0;
        return this.#close(Errno.ENETDOWN);
      case "end":
        if (this.#state.kind === "connecting") return this.#break(Errno.ECONNABORTED);
        this.#endSend();
        this.#endReceive();
        return this.#settle(Signal.None);
      case "end-send":
        if (this.#state.kind === "connecting") return this.#break(Errno.ECONNABORTED);
        this.#endSend();
        return this.#settle(Signal.None);
      case "end-receive":
        if (this.#state.kind === "connecting") return this.#break(Errno.ECONNABORTED);
        this.#endReceive();
        return this.#settle(Signal.None);
      default: {
        const never: never = wish;
        return never;
      }
    }
  }

  #endSend(): void {
    if (this.#outbound === "open" || this.#outbound === "refused") this.#outbound = "draining";
  }

  #endReceive(): void {
    if (this.#inbound === "open") this.#inbound = "refused";
  }

  /** Whether `take` would give RW. */
  get wantsToSendData(): boolean {
    return this.#nextOp(MAX_PAYLOAD) === Op.Rw;
  }

  /** Whether `take` would give a packet. */
  get wantsToSend(): boolean {
    return this.#nextOp(MAX_PAYLOAD) !== 0;
  }

  /**
   * The next packet for the peer, when there is room for one: fills op, len, flags, buf_alloc and fwd_cnt of `header`
   * and counts it as sent. 0 when there is none. For RW, `header.len` bytes of the queue go with it: at most `limit`
   * (0: no RW now).
   */
  take(header: PacketHeader, limit: number = MAX_PAYLOAD): Op | 0 {
    const op = this.#nextOp(limit);
    if (op === 0) return 0;
    header.op = op;
    header.len = 0;
    header.flags = 0;
    switch (op) {
      case Op.Request:
        this.#owed &= ~Owed.Request;
        break;
      case Op.Response:
        this.#owed &= ~Owed.Response;
        break;
      case Op.Rst:
        this.#owed = 0;
        break;
      case Op.CreditUpdate:
        this.#owed &= ~Owed.CreditReply;
        break;
      case Op.CreditRequest:
        this.#owed &= ~Owed.CreditRequest;
        this.#askedForCredit = true;
        break;
      case Op.Shutdown:
        this.#owed &= ~Owed.ShutdownAgain;
        this.#toldShutdown |= this.#wantedShutdown();
        header.flags = this.#toldShutdown;
        break;
      case Op.Rw:
        header.len = Math.min(this.#queued, limit, MAX_PAYLOAD, peerFree(this.credit));
        this.#queued -= header.len;
        countSent(this.credit, header.len);
        break;
      default: {
        const never: never = op;
        return never;
      }
    }
    // §5.10.6.3.1: every packet carries valid buf_alloc and fwd_cnt.
    header.bufAlloc = this.credit.bufAlloc;
    header.fwdCnt = this.credit.fwdCnt;
    countReported(this.credit);
    // With both flags told, the state is `closing` now: the owner starts its close timer.
    if (op === Op.Shutdown) this.#settle(Signal.None);
    return op;
  }

  /** What is owed, most urgent first. RW before a credit update: it carries the same news. */
  #nextOp(limit: number): Op | 0 {
    if (this.#state.kind === "closed") return (this.#owed & Owed.Rst) !== 0 ? Op.Rst : 0;
    if ((this.#owed & Owed.Request) !== 0) return Op.Request;
    if (this.#state.kind === "connecting") return 0;
    if ((this.#owed & Owed.Response) !== 0) return Op.Response;
    if ((this.#owed & Owed.CreditReply) !== 0) return Op.CreditUpdate;
    if (this.#queued > 0 && limit > 0 && this.#maySend()) return Op.Rw;
    if (updateDue(this.credit)) return Op.CreditUpdate;
    if (this.blockedOnCredit && !this.#askedForCredit) return Op.CreditRequest;
    if ((this.#owed & Owed.ShutdownAgain) !== 0) return Op.Shutdown;
    return (this.#wantedShutdown() & ~this.#toldShutdown) !== 0 ? Op.Shutdown : 0;
  }

  /** §5.10.6.3.1: RW only when the peer has room for it; and never more packets than it can hold. */
  #maySend(): boolean {
    return peerFree(this.credit) > 0 && packetAllowed(this.credit);
  }

  /** The SHUTDOWN flags that are true now. SEND waits until the queue is empty, and what goes with it waits too. */
  #wantedShutdown(): number {
    const ended = this.#outbound === "ended" || (this.#outbound === "draining" && this.#queued === 0);
    if (!ended) return this.#inbound === "refused" && this.#outbound !== "draining" ? ShutdownFlag.Receive : 0;
    // A peer that sends no more loses nothing when told that we receive no more: then one RST ends it all.
    return this.#inbound === "open" ? ShutdownFlag.Send : ShutdownFlag.Both;
  }

  /** The one door: derives the state from what both sides have said. */
  #settle(before: number): number {
    let signals = before;
    if ((this.#peerShutdown & ShutdownFlag.Send) !== 0 && this.#inbound !== "ended") {
      if (this.#inbound === "open") signals |= Signal.InboundEnded;
      this.#inbound = "ended";
    }
    const refused = (this.#peerShutdown & ShutdownFlag.Receive) !== 0;
    const lost = refused ? this.#queued : 0;
    if (refused) {
      if (this.#outbound === "open" || lost > 0) signals |= Signal.OutboundRefused;
      if (this.#outbound === "open") this.#outbound = "refused";
      this.#queued = 0;
    }
    if (this.#peerShutdown === ShutdownFlag.Both) {
      // §5.10.6.5: both directions are over, RST confirms. Bytes that the peer would not take are a loss to tell of.
      this.#owed = Owed.Rst;
      return signals | this.#close(lost > 0 ? Errno.ECONNRESET : 0);
    }
    if ((this.#toldShutdown & ShutdownFlag.Send) !== 0) this.#outbound = "ended";
    if (this.#toldShutdown === ShutdownFlag.Both) {
      this.#state = CLOSING;
    } else {
      this.#state = established(this.#outbound, this.#inbound);
    }
    return signals;
  }

  /** What an RST means now. */
  #resetErrno(): number {
    switch (this.#state.kind) {
      case "connecting":
        return Errno.ECONNREFUSED;
      case "closing":
        return 0;
      default:
        // Each side has ended its sending and nothing is queued: the peer just skipped the formalities.
        return this.#outbound === "ended" && this.#inbound === "ended" ? 0 : Errno.ECONNRESET;
    }
  }

  /** The peer broke the protocol: reset. */
  #violate(): number {
    return this.#break(Errno.EPROTO);
  }

  /** Ends it from our side: RST, unless the peer has not heard of this connection yet. */
  #break(errno: number): number {
    this.#owed = (this.#owed & Owed.Request) !== 0 ? 0 : Owed.Rst;
    return this.#close(errno);
  }

  #close(errno: number): number {
    this.#state = closed(errno);
    this.#queued = 0;
    this.#starved = false;
    return Signal.Closed;
  }
}
