/** The event ring (virtio 1.3 §5.10.6.7): "Event virtqueue buffers SHOULD be replenished quickly so that no events are missed". */
import { addressAt, type DmaAllocator, type DmaBuffer, type GuestAddress } from "@toril/memory";
import type { DriverQueue } from "@toril/virtqueue";
import { EVENT_SIZE, readEvent, TRANSPORT_RESET } from "../wire/event.ts";
import type { Token } from "./token.ts";

/** Linux posts 8. */
const MAX_EVENT_BUFFERS = 8;
const STRIDE = 16;

export class EventBuffer {
  readonly kind = "event";
  readonly address: GuestAddress;

  constructor(address: GuestAddress) {
    this.address = address;
  }
}

export class EventRing {
  readonly #queue: DriverQueue<Token>;
  readonly #dma: DmaBuffer;
  readonly #bytes: Uint8Array = new Uint8Array(EVENT_SIZE);
  #unpublished = 0;

  /** Fills the ring; `undefined` when there is no memory. */
  static create(queue: DriverQueue<Token>, allocator: DmaAllocator): EventRing | undefined {
    const count = Math.min(MAX_EVENT_BUFFERS, queue.size);
    const dma = allocator.allocateDma(count * STRIDE, STRIDE);
    return dma === undefined ? undefined : new EventRing(queue, dma, count);
  }

  private constructor(queue: DriverQueue<Token>, dma: DmaBuffer, count: number) {
    this.#queue = queue;
    this.#dma = dma;
    dma.lendToWrite();
    for (let i = 0; i < count; i++) this.#post(new EventBuffer(addressAt(dma.address, i * STRIDE)));
  }

  get hasUnpublished(): boolean {
    return this.#unpublished > 0;
  }

  published(): void {
    this.#unpublished = 0;
  }

  /** Takes all events that have come, and posts their buffers again. Whether TRANSPORT_RESET was among them. */
  poll(): "nothing" | "other" | "transport-reset" {
    let found: "nothing" | "other" | "transport-reset" = "nothing";
    // At most what is posted: a device that answers at once could keep us here for ever.
    for (let left = this.#queue.inFlight; left > 0; left--) {
      const token = this.#queue.poll();
      if (token?.kind !== "event") break;
      if (found === "nothing") found = "other";
      if (this.#queue.usedLength >= EVENT_SIZE) {
        this.#queue.memory.read(token.address, this.#bytes);
        if (readEvent(this.#bytes) === TRANSPORT_RESET) found = "transport-reset";
      }
      this.#post(token);
    }
    return found;
  }

  /** After a reset. */
  free(): void {
    this.#dma.giveBack();
    this.#dma.free();
  }

  #post(buffer: EventBuffer): void {
    // No room means that the queue is broken: nothing more will come.
    if (this.#queue.lendWritable(buffer.address, EVENT_SIZE, buffer)) this.#unpublished++;
  }
}
