/** Packets, kept and used again; bounded: when there is none, senders wait. */
import type { DmaAllocator } from "@toril/memory";
import { MAX_PAYLOAD } from "../wire/ops.ts";
import { PACKET_ALIGNMENT, PAYLOAD_OFFSET, PacketBuffer } from "./packet.ts";

/** A page with its header: most requests and answers of small protocols. */
const SMALL_PAYLOAD: number = 4096 - PAYLOAD_OFFSET;

export class PacketPool {
  readonly #allocator: DmaAllocator;
  readonly #limit: number;
  readonly #small: PacketBuffer[] = [];
  readonly #large: PacketBuffer[] = [];
  #bytes = 0;
  #out = 0;
  #open = true;

  /** @param limit most bytes to take from the allocator. */
  constructor(allocator: DmaAllocator, limit: number) {
    this.#allocator = allocator;
    this.#limit = limit;
  }

  /** Buffers that could be taken now, as far as the limit goes: the allocator may have fewer. */
  get available(): number {
    const allowed = Math.floor((this.#limit - this.#bytes) / sizeFor(SMALL_PAYLOAD));
    const unmade = Math.max(allowed, this.#bytes === 0 ? 1 : 0);
    return this.#small.length + this.#large.length + unmade;
  }

  /** Buffers that are out: when some are, memory will come back by itself. */
  get out(): number {
    return this.#out;
  }

  /** A buffer for up to `payload` bytes: a smaller one when no larger one can be had; `undefined`: none now. */
  take(payload: number): PacketBuffer | undefined {
    const small = payload <= SMALL_PAYLOAD;
    let buffer = small ? this.#small.pop() : this.#large.pop();
    if (buffer === undefined) buffer = small ? this.#makeSmall() : this.#makeLarge();
    if (buffer === undefined) buffer = small ? this.#large.pop() : (this.#small.pop() ?? this.#make(SMALL_PAYLOAD));
    if (buffer === undefined) return undefined;
    this.#out++;
    buffer.chunk.begin(0);
    return buffer;
  }

  /** The capacity of the buffer that `take(payload)` would give; 0: none. */
  offer(payload: number): number {
    const buffer = this.take(payload);
    if (buffer === undefined) return 0;
    this.put(buffer);
    return buffer.capacity;
  }

  put(buffer: PacketBuffer): void {
    this.#out--;
    if (!this.#open) buffer.dma.free();
    else if (buffer.capacity > SMALL_PAYLOAD) this.#large.push(buffer);
    else this.#small.push(buffer);
  }

  /** Frees what is here now, and the rest as it comes back. */
  close(): void {
    this.#open = false;
    for (const buffer of this.#small.splice(0)) buffer.dma.free();
    for (const buffer of this.#large.splice(0)) buffer.dma.free();
  }

  /** A large buffer that lies idle makes room for many small ones. */
  #makeSmall(): PacketBuffer | undefined {
    const made = this.#make(SMALL_PAYLOAD);
    if (made !== undefined || !this.#free(this.#large.pop())) return made;
    return this.#make(SMALL_PAYLOAD);
  }

  /** And enough small ones for a large one. */
  #makeLarge(): PacketBuffer | undefined {
    const made = this.#make(MAX_PAYLOAD);
    const missing = this.#bytes + sizeFor(MAX_PAYLOAD) - this.#limit;
    if (made !== undefined || missing > this.#small.length * sizeFor(SMALL_PAYLOAD)) return made;
    for (let freed = 0; freed < missing; freed += sizeFor(SMALL_PAYLOAD)) this.#free(this.#small.pop());
    return this.#make(MAX_PAYLOAD);
  }

  #free(buffer: PacketBuffer | undefined): boolean {
    if (buffer === undefined) return false;
    this.#bytes -= sizeFor(buffer.capacity);
    buffer.dma.free();
    return true;
  }

  #make(payload: number): PacketBuffer | undefined {
    const size = sizeFor(payload);
    // A first small buffer may exceed a tiny limit: with none at all nothing would ever be sent.
    const exempt = this.#bytes === 0 && payload <= SMALL_PAYLOAD;
    if (!this.#open || (this.#bytes + size > this.#limit && !exempt)) return undefined;
    const dma = this.#allocator.allocateDma(size, PACKET_ALIGNMENT);
    if (dma === undefined) return undefined;
    this.#bytes += size;
    return new PacketBuffer(dma);
  }
}

function sizeFor(payload: number): number {
  return PAYLOAD_OFFSET + payload;
}
