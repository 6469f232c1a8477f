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
    if (buffer === undefined) buffer = this.#make(small ? SMALL_PAYLOAD : MAX_PAYLOAD);
    if (buffer === undefined) buffer = small ? this.#splitLarge() : this.#joinSmall();
    if (buffer === undefined) buffer = small ? this.#large.pop() : (this.#small.pop() ?? this.#make(SMALL_PAYLOAD));
    if (buffer === undefined) return undefined;
    this.#out++;
    buffer.chunk.begin(0);
    return buffer;
  }

  /**
   * What `take(payload)` gives has at least this capacity; 0: there is none. A question that is asked often, so nothing is
   * freed for it: one that is made is kept.
   */
  offer(payload: number): number {
    const small = payload <= SMALL_PAYLOAD;
    const wanted = small ? this.#small : this.#large;
    const others = small ? this.#large : this.#small;
    if (wanted.length === 0) {
      const made = this.#make(small ? SMALL_PAYLOAD : MAX_PAYLOAD);
      if (made !== undefined) wanted.push(made);
    }
    if (wanted.length + others.length === 0) {
      const made = this.#make(SMALL_PAYLOAD);
      if (made !== undefined) this.#small.push(made);
    }
    return (wanted[wanted.length - 1] ?? others[others.length - 1] ?? this.#small[0])?.capacity ?? 0;
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

  /** A small buffer out of the memory of a large one that lies idle. */
  #splitLarge(): PacketBuffer | undefined {
    const large = this.#large.pop();
    if (large === undefined) return undefined;
    this.#free(large);
    return this.#make(SMALL_PAYLOAD);
  }

  /** A large buffer, for as many small ones that lie idle; those stay when the allocator has none. */
  #joinSmall(): PacketBuffer | undefined {
    const excess = this.#bytes + sizeFor(MAX_PAYLOAD) - this.#limit;
    if (!this.#open || excess > this.#small.length * sizeFor(SMALL_PAYLOAD)) return undefined;
    const dma = this.#allocator.allocateDma(sizeFor(MAX_PAYLOAD), PACKET_ALIGNMENT);
    if (dma === undefined) return undefined;
    this.#bytes += sizeFor(MAX_PAYLOAD);
    while (this.#bytes > this.#limit) {
      const small = this.#small.pop();
      if (small === undefined) break;
      this.#free(small);
    }
    return new PacketBuffer(dma);
  }

  #free(buffer: PacketBuffer): void {
    this.#bytes -= sizeFor(buffer.capacity);
    buffer.dma.free();
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
