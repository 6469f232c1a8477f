/**
 * Bytes on their way out. A packet is guest memory for one header and its payload, next to each other, so that one
 * descriptor covers both. A chunk is a run of bytes that a connection has taken from its user: what a packet holds, or
 * part of a buffer that the user has lent.
 */
import { addressAt, type DmaBuffer, type GuestAddress } from "@toril/memory";
import { HEADER_SIZE } from "../wire/header.ts";

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
    this.chunk = new SendChunk({ kind: "packet", buffer: this }, this.payloadAddress, 0);
  }
}

/** Where the bytes of a chunk lie. */
export type ChunkSource =
  | { readonly kind: "packet"; readonly buffer: PacketBuffer }
  | { readonly kind: "lent"; readonly buffer: DmaBuffer; readonly onReturned: (() => void) | undefined };

export class SendChunk {
  readonly source: ChunkSource;
  readonly address: GuestAddress;
  length: number;
  /** Bytes handed to the ring. */
  sent = 0;
  /** Chains in the ring that point into it. */
  inRing = 0;
  /** Nothing more of it will be handed over: it goes back when `inRing` is 0. */
  over = false;

  constructor(source: ChunkSource, address: GuestAddress, length: number) {
    this.source = source;
    this.address = address;
    this.length = length;
  }

  get remaining(): number {
    return this.length - this.sent;
  }
}
