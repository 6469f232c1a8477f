/** The RX ring: receive buffers that the device fills. Each comes back to the ring when its bytes are taken. */
import type { DmaAllocator, DmaBuffer, GuestAddress } from "@toril/memory";
import { addressAt } from "@toril/memory";
import type { DriverQueue } from "@toril/virtqueue";
import { eraseHeader, HEADER_SIZE } from "../wire/header.ts";
import { HEADER_OFFSET, PACKET_ALIGNMENT, PAYLOAD_OFFSET } from "./packet.ts";
import type { Token } from "./token.ts";

export class RxBuffer {
  readonly kind = "rx";
  /** Where unread payload starts and ends, while a connection has it. */
  offset = 0;
  end = 0;
  readonly dma: DmaBuffer;
  readonly headerAddress: GuestAddress;
  readonly payloadAddress: GuestAddress;
  #view: Uint8Array | undefined;

  constructor(dma: DmaBuffer) {
    this.dma = dma;
    this.headerAddress = addressAt(dma.address, HEADER_OFFSET);
    this.payloadAddress = addressAt(dma.address, PAYLOAD_OFFSET);
  }

  /** Its first `length` payload bytes. The view is kept: most messages are as long as the ones before. */
  payload(length: number): Uint8Array {
    if (this.#view?.length !== length) this.#view = this.dma.memory.bytes(this.payloadAddress, length);
    return this.#view;
  }
}

export class RxRing {
  readonly #queue: DriverQueue<Token>;
  /** Buffers in all, wherever they are. */
  readonly count: number;
  readonly #all: readonly RxBuffer[];
  #unpublished = 0;
  #open = true;

  /**
   * Takes up to `count` buffers from the allocator and puts them into the ring. `undefined` when there is no memory for
   * even two: one in use, one to receive.
   */
  static create(
    queue: DriverQueue<Token>,
    allocator: DmaAllocator,
    count: number,
    payload: number,
  ): RxRing | undefined {
    const wanted = Math.min(count, queue.size);
    const buffers: RxBuffer[] = [];
    while (buffers.length < wanted) {
      const dma = allocator.allocateDma(PAYLOAD_OFFSET + payload, PACKET_ALIGNMENT);
      if (dma === undefined) break;
      buffers.push(new RxBuffer(dma));
    }
    if (buffers.length < Math.min(2, wanted)) {
      for (const buffer of buffers) buffer.dma.free();
      return undefined;
    }
    return new RxRing(queue, buffers);
  }

  private constructor(queue: DriverQueue<Token>, buffers: readonly RxBuffer[]) {
    this.#queue = queue;
    this.count = buffers.length;
    this.#all = buffers;
    for (const buffer of buffers) this.post(buffer);
  }

  /** Buffers that the device can fill. */
  get posted(): number {
    return this.#queue.inFlight;
  }

  get hasUnpublished(): boolean {
    return this.#unpublished > 0;
  }

  published(): void {
    this.#unpublished = 0;
  }

  /** The next filled buffer; `usedLength` says how far. It is the caller's until it is posted again. */
  next(): RxBuffer | undefined {
    const token = this.#queue.poll();
    if (token?.kind !== "rx") return undefined;
    token.dma.giveBack();
    return token;
  }

  get usedLength(): number {
    return this.#queue.usedLength;
  }

  /** Gives a buffer to the device; frees it when the ring is closed. */
  post(buffer: RxBuffer): void {
    if (!this.#open) {
      buffer.dma.free();
      return;
    }
    // vhost-device-vsock returns buffers that it has not written to, with a header's length (a packet of a connection that
    // is gone). What an earlier packet left there must not be taken for a packet.
    eraseHeader(buffer.dma.memory, buffer.headerAddress);
    const length = HEADER_SIZE + (buffer.dma.length - PAYLOAD_OFFSET);
    buffer.dma.lendToWrite();
    if (this.#queue.lendWritable(buffer.headerAddress, length, buffer)) {
      this.#unpublished++;
      return;
    }
    // A broken queue takes nothing, and there is always a descriptor for each buffer: it is not needed any more.
    buffer.dma.giveBack();
    buffer.dma.free();
  }

  /** Before the device went live, or when it never did: frees all buffers. */
  free(): void {
    this.close(this.#all);
  }

  /** After a reset: the buffers that were in flight are free; those that users hold are freed when they come back. */
  close(inFlight: readonly Token[]): void {
    this.#open = false;
    for (const token of inFlight) {
      if (token.kind !== "rx") continue;
      token.dma.giveBack();
      token.dma.free();
    }
  }
}
