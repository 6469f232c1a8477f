/**
 * Bytes on their way out. A packet is guest memory for one header and its payload, next to each other, so that one
 * descriptor covers both. A chunk is a run of bytes that a connection has taken from its user: what a packet holds, or
 * part of a buffer that the user has lent (loans.ts).
 */
import { addressAt, type DmaBuffer, type GuestAddress } from "@toril/memory";
import { HEADER_SIZE } from "../wire/header.ts";
import type { Loan } from "./loans.ts";

/** Payloads start here, on a cache line of their own; the header ends where they start. */
export const PAYLOAD_OFFSET = 64;
export const HEADER_OFFSET: number = PAYLOAD_OFFSET - HEADER_SIZE;
export const PACKET_ALIGNMENT = 64;

export class PacketBuffer {
  readonly dma: DmaBuffer;
  readonly headerAddress: GuestAddress;
  readonly payloadAddress: GuestAddress;
  /** Payload bytes that fit. */
  readonly capacity: number;
  /** What it holds, while a connection has it; made once and used again. */
  readonly chunk: SendChunk;

  constructor(dma: DmaBuffer) {
    this.dma = dma;
    this.headerAddress = addressAt(dma.address, HEADER_OFFSET);
    this.payloadAddress = addressAt(dma.address, PAYLOAD_OFFSET);
    this.capacity = dma.length - PAYLOAD_OFFSET;
    this.chunk = new SendChunk(this, this.payloadAddress);
  }
}

/** One class for both kinds of chunk, and made to be used again: this is the hot path, and it must not allocate. */
export class SendChunk {
  /** The packet that holds the bytes; `undefined`: they lie in a lent buffer. */
  readonly packet: PacketBuffer | undefined;
  /** Of a lent run only: whose bytes these are, and the send that lent them. */
  buffer: DmaBuffer | undefined;
  loan: Loan | undefined;
  address: GuestAddress;
  length = 0;
  /** Bytes handed to the ring. */
  sent = 0;
  /** Chains in the ring that point into it. */
  inRing = 0;
  /** Nothing more of it will be handed over: it goes back when `inRing` is 0. */
  over = false;

  constructor(packet: PacketBuffer | undefined, address: GuestAddress) {
    this.packet = packet;
    this.address = address;
  }

  get remaining(): number {
    return this.length - this.sent;
  }

  /** Makes it the run of `length` bytes that nothing has been sent of. */
  begin(length: number): void {
    this.length = length;
    this.sent = 0;
    this.inRing = 0;
    this.over = false;
  }
}
