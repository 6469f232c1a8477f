/**
 * Credit (virtio 1.3 §5.10.6.3): how many bytes each side may still send to the other.
 *
 * Every counter runs free modulo 2^32. Such counters have no order, only distances: `<` and `>=` on them are bugs, the
 * helpers here are the only arithmetic. Header bytes do not count, payload bytes do.
 */
import { MAX_PAYLOAD } from "../wire/ops.ts";
import { PacketsInFlight } from "./packets-in-flight.ts";

/** `a + b` mod 2^32. */
export function plus(a: number, b: number): number {
  return (a + b) >>> 0;
}

/** How far `a` is ahead of `b`, in -2^31 … 2^31 - 1: negative when it is behind. */
export function ahead(a: number, b: number): number {
  return (a - b) | 0;
}

/** Windows above this are cut down to it, so that every distance between counters fits in 31 bits. */
export const MAX_WINDOW = 0x4000_0000;

/**
 * What a packet costs its receiver beside its payload. Linux ≥ 6.12.92 resets a connection that has more than
 * buf_alloc / 576 packets queued, however small (576 is the size of an empty sk_buff).
 */
export const PACKET_OVERHEAD = 576;

/**
 * When the peer hears that bytes were consumed, if no packet goes its way anyhow. `half-window`: early enough that a peer
 * that sends all the time never waits. `whole-window`: only when it may send nothing more, so it waits for each window;
 * for measurements.
 */
export type CreditUpdates = "half-window" | "whole-window";

/** Both directions of one connection. Plain numbers; changed only by the functions below. */
export class Credit {
  /** Payload bytes we have sent. */
  txCount: number;
  /** The peer's fwd_cnt: of ours, the bytes its user has consumed. */
  peerFwdCnt: number;
  /** The peer's buf_alloc: the size of its receive window. */
  peerBufAlloc = 0;
  /** Our packets that `peerFwdCnt` has not passed. */
  readonly inFlight: PacketsInFlight = new PacketsInFlight();

  /** The size of our receive window. */
  bufAlloc: number;
  /** Payload bytes we have received. */
  rxCount: number;
  /** Of those, the bytes our user has consumed. */
  fwdCnt: number;
  /** The fwd_cnt of our last packet. */
  reportedFwdCnt: number;
  /** How far the peer may send by what we have promised so far: never moves back, even when the window shrinks. */
  promisedEdge: number;
  /** RW packets received since the peer last heard that all is consumed: it may be short of packets, not of bytes. */
  unreportedPackets = 0;
  readonly updates: CreditUpdates;
  /** The peer asked for credit and has not heard since that all is consumed. */
  peerStarved = false;

  /** @param start where all counters start; 0 but in tests of the wrap-around. */
  constructor(bufAlloc: number, start: number, updates: CreditUpdates = "half-window") {
    this.bufAlloc = bufAlloc;
    this.updates = updates;
    this.txCount = start;
    this.peerFwdCnt = start;
    this.rxCount = start;
    this.fwdCnt = start;
    this.reportedFwdCnt = start;
    this.promisedEdge = start;
  }
}

/** §5.10.6.3: `peer_free = peer_buf_alloc - (tx_cnt - peer_fwd_cnt)`; 0 when the peer has made its window smaller. */
export function peerFree(credit: Credit): number {
  return Math.max(0, credit.peerBufAlloc - ahead(credit.txCount, credit.peerFwdCnt));
}

/**
 * Whether one more packet may be in flight. One always may: else a peer with a window below two packets' overhead would
 * never get anything.
 */
export function packetAllowed(credit: Credit): boolean {
  const unretired = credit.inFlight.count;
  if (unretired === 0) return true;
  // After this packet there are unretired + 1; one more is the margin that Linux' own check leaves out.
  return !credit.inFlight.full && (unretired + 2) * PACKET_OVERHEAD <= credit.peerBufAlloc;
}

export function countSent(credit: Credit, bytes: number): void {
  credit.txCount = plus(credit.txCount, bytes);
  credit.inFlight.add(credit.txCount);
}

/**
 * Takes what a packet says about the peer's window. `lie`: it claims to have consumed bytes that were never sent.
 * A fwd_cnt behind the last one is an older packet that was overtaken: its values are old too, and are passed over.
 */
export function learn(credit: Credit, bufAlloc: number, fwdCnt: number): "learned" | "stale" | "lie" {
  const progress = ahead(fwdCnt, credit.peerFwdCnt);
  if (progress < 0) return "stale";
  if (progress > ahead(credit.txCount, credit.peerFwdCnt)) return "lie";
  credit.peerFwdCnt = fwdCnt;
  credit.peerBufAlloc = Math.min(bufAlloc, MAX_WINDOW);
  credit.inFlight.retire(fwdCnt);
  return "learned";
}

/** Counts received payload. `false`: the peer sent more than we ever promised to take; nothing is counted. */
export function countReceived(credit: Credit, bytes: number): boolean {
  if (bytes > ahead(credit.promisedEdge, credit.rxCount)) return false;
  credit.rxCount = plus(credit.rxCount, bytes);
  credit.unreportedPackets++;
  return true;
}

/** Counts bytes that our user has taken: credit returns to the peer for these, and only for these. */
export function countConsumed(credit: Credit, bytes: number): void {
  credit.fwdCnt = plus(credit.fwdCnt, bytes);
}

/** Received bytes that our user has not taken. */
export function unconsumed(credit: Credit): number {
  return ahead(credit.rxCount, credit.fwdCnt);
}

/**
 * Whether the peer should hear of consumed bytes now: at half a window; or when all is consumed and the peer, by what
 * it knows, lacks room for a full packet (or, with `whole-window`, any room), lacks packets, or has asked. Since everything is consumed at some time, a
 * starved peer always hears of it.
 */
export function updateDue(credit: Credit): boolean {
  const unreported = ahead(credit.fwdCnt, credit.reportedFwdCnt);
  if (unreported <= 0) return false;
  const half = credit.bufAlloc >>> 1;
  if (unreported >= (credit.updates === "half-window" ? half : credit.bufAlloc)) return true;
  if (unconsumed(credit) > 0) return false;
  if (credit.peerStarved) return true;
  const peerSees = ahead(credit.promisedEdge, credit.rxCount);
  const least = credit.updates === "half-window" ? Math.min(MAX_PAYLOAD, credit.bufAlloc) : 1;
  return peerSees < least || credit.unreportedPackets * PACKET_OVERHEAD >= half;
}

/** Notes that a packet goes out with our window: what the peer knows from then on. */
export function countReported(credit: Credit): void {
  credit.reportedFwdCnt = credit.fwdCnt;
  const edge = plus(credit.fwdCnt, credit.bufAlloc);
  if (ahead(edge, credit.promisedEdge) > 0) credit.promisedEdge = edge;
  if (unconsumed(credit) > 0) return;
  credit.unreportedPackets = 0;
  credit.peerStarved = false;
}
