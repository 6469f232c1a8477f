/** The device's side of the RX ring: one packet into one chain of the guest's, whatever its shape. */
import type { GuestMemory } from "@toril/memory";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { HEADER_SIZE, type PacketHeader, writeHeader, writeHeaderBytes } from "../wire/header.ts";
import { countPacket } from "../wire/packet-counts.ts";
import type { MutableDeviceStats } from "./stats.ts";

export class RxWriter {
  readonly #queue: DeviceQueue;
  readonly #memory: GuestMemory;
  readonly #chain: Chain;
  readonly #stats: MutableDeviceStats;
  readonly #scratch: Uint8Array = new Uint8Array(HEADER_SIZE);
  /** Whether `#chain` was taken and not filled. */
  #taken = false;
  #offset = 0;
  #unpublished = 0;

  constructor(queue: DeviceQueue, memory: GuestMemory, stats: MutableDeviceStats) {
    this.#queue = queue;
    this.#memory = memory;
    this.#stats = stats;
    this.#chain = queue.createChain();
  }

  get hasUnpublished(): boolean {
    return this.#unpublished > 0;
  }

  published(): void {
    this.#unpublished = 0;
  }

  /** Whether the guest has given a buffer for the next packet. */
  get ready(): boolean {
    if (this.#taken) return true;
    // At most once around the ring: a guest that posts nothing but useless buffers must not keep us here.
    for (let left = this.#queue.size; left > 0 && this.#queue.next(this.#chain); left--) {
      if (this.#chain.writableBytes >= HEADER_SIZE) {
        this.#taken = true;
        return true;
      }
      this.#stats.malformedPackets++;
      this.#queue.complete(this.#chain.head, 0);
      this.#unpublished++;
    }
    return false;
  }

  /** Payload bytes that the next packet can have; 0 when there is no buffer for it. */
  get payloadRoom(): number {
    return this.ready ? this.#chain.writableBytes - HEADER_SIZE : 0;
  }

  /** Appends payload to the packet that is being written. Only within `payloadRoom`. */
  addPayload(bytes: Uint8Array): void {
    this.#chain.write(HEADER_SIZE + this.#offset, bytes);
    this.#offset += bytes.length;
    this.#stats.bytesCopiedToGuest += bytes.length;
  }

  /** Ends the packet: its header, with `len` as added. */
  end(header: PacketHeader): void {
    header.len = this.#offset;
    const first = this.#chain.readableCount;
    if (this.#chain.length(first) >= HEADER_SIZE) {
      writeHeader(this.#memory, this.#chain.address(first), header);
    } else {
      writeHeaderBytes(this.#scratch, 0, header);
      this.#chain.write(0, this.#scratch);
    }
    this.#queue.complete(this.#chain.head, HEADER_SIZE + this.#offset);
    this.#taken = false;
    this.#offset = 0;
    this.#unpublished++;
    this.#stats.packetsToGuest++;
    this.#stats.headerBytesToGuest += HEADER_SIZE;
    countPacket(this.#stats.opsToGuest, header.op);
  }
}
