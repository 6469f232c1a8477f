/**
 * The TX ring: one chain per packet, in one of three shapes.
 *
 *     control, or part of a chunk   [header slot] ([part of the chunk])
 *     one-copy                      [packet: header and payload in one]
 *     two-copy                      [ring buffer: a copy of the packet's header and payload]
 *
 * Each chain has a token, which knows what goes back where when the device has used it, in whatever order that is.
 */
import { addressAt, type DmaAllocator, type DmaBuffer, type GuestMemory } from "@toril/memory";
import type { DriverQueue } from "@toril/virtqueue";
import { HEADER_SIZE, type PacketHeader, writeHeader } from "../wire/header.ts";
import { countPacket } from "../wire/packet-counts.ts";
import type { PacketBuffer, SendChunk } from "./packet.ts";
import type { PacketPool } from "./packet-pool.ts";
import type { SendQueue } from "./send-queue.ts";
import type { MutableStats } from "./stats.ts";
import type { Token } from "./token.ts";

/** A header slot is a cache line: two headers never share one. */
const SLOT_SIZE = 64;

export class TxToken {
  readonly kind = "tx";
  readonly headerAddress: number;
  /** The runs that the packet points into; those from `runs` on mean nothing. */
  readonly chunks: (SendChunk | undefined)[] = [];
  runs = 0;
  ringBuffer: PacketBuffer | undefined;

  constructor(headerAddress: number) {
    this.headerAddress = headerAddress;
  }
}

export class TxRing {
  readonly #queue: DriverQueue<Token>;
  readonly #memory: GuestMemory;
  readonly #slots: DmaBuffer;
  readonly #tokens: TxToken[] = [];
  readonly #pool: PacketPool;
  readonly #stats: MutableStats;
  /** Most runs of payload in one packet. */
  readonly #maxRuns: number;
  /** The device has used the last of a chunk that is over. Set by the driver before it sends. */
  onChunkReturned: (chunk: SendChunk) => void = () => {};
  #lentInRing = 0;
  /** Chains ended and not published. */
  #unpublished = 0;

  /**
   * `undefined` when there is no memory for the headers. @param pool where two-copy's ring buffers come from; @param segments most
   * descriptors of one packet, its header's included
   */
  static create(
    queue: DriverQueue<Token>,
    allocator: DmaAllocator,
    pool: PacketPool,
    stats: MutableStats,
    segments: number,
  ): TxRing | undefined {
    const slots = allocator.allocateDma(queue.size * SLOT_SIZE, SLOT_SIZE);
    return slots === undefined ? undefined : new TxRing(queue, slots, pool, stats, segments - 1);
  }

  private constructor(
    queue: DriverQueue<Token>,
    slots: DmaBuffer,
    pool: PacketPool,
    stats: MutableStats,
    maxRuns: number,
  ) {
    this.#maxRuns = maxRuns;
    this.#queue = queue;
    this.#memory = queue.memory;
    this.#slots = slots;
    this.#pool = pool;
    this.#stats = stats;
    slots.lendToRead();
    // A chain takes at least one descriptor, so there are never more chains than slots: slots do not run out.
    for (let i = queue.size - 1; i >= 0; i--) this.#tokens.push(new TxToken(addressAt(slots.address, i * SLOT_SIZE)));
  }

  /** Whether any packet fits now: header and payload are at most two segments. */
  get hasRoom(): boolean {
    return this.#queue.free >= Math.min(2, this.#queue.size) && this.#tokens.length > 0;
  }

  /** Whether the device holds buffers that somebody waits for. */
  get holdsLent(): boolean {
    return this.#lentInRing > 0;
  }

  get inFlight(): number {
    return this.#queue.inFlight;
  }

  get hasUnpublished(): boolean {
    return this.#unpublished > 0;
  }

  /** Called when the queue was published. */
  published(): void {
    this.#unpublished = 0;
  }

  /** A packet without payload. Only when there is room. */
  sendControl(header: PacketHeader): void {
    const token = this.#take();
    writeHeader(this.#memory, token.headerAddress, header);
    this.#stats.txCopied.header += HEADER_SIZE;
    this.#lendOne(token.headerAddress, HEADER_SIZE, token, header.op);
  }

  /** How many runs a packet may have now. Only when there is room. */
  get runsThatFit(): number {
    return Math.max(1, Math.min(this.#maxRuns, this.#queue.free - 1));
  }

  /**
   * The next `header.len` bytes of a queue, where they lie: at most `runsThatFit` runs of it. Only when there is room. The
   * queue is left as it is: tell it to `advance`.
   */
  sendInPlace(header: PacketHeader, sending: SendQueue): void {
    const { first } = sending;
    if (first === undefined) throw new RangeError("a packet was sent with nothing queued");
    const token = this.#take();
    this.#stats.txCopied.header += HEADER_SIZE;
    const { packet } = first;
    if (packet !== undefined && first.sent === 0 && header.len === first.length) {
      // A whole packet: header and payload are next to each other.
      writeHeader(this.#memory, packet.headerAddress, header);
      this.#pointInto(token, first);
      this.#lendOne(packet.headerAddress, HEADER_SIZE + header.len, token, header.op);
    } else {
      writeHeader(this.#memory, token.headerAddress, header);
      let runs = 1;
      for (let left = header.len - first.remaining; left > 0; runs++) left -= sending.at(runs)?.remaining ?? left;
      if (!this.#queue.beginChain(1 + runs)) throw noRoom();
      this.#queue.addReadable(token.headerAddress, HEADER_SIZE);
      let left = header.len;
      for (let i = 0; i < runs; i++) {
        const chunk = sending.at(i);
        if (chunk === undefined) throw new RangeError("a packet is longer than what is queued");
        const length = Math.min(left, chunk.remaining);
        this.#queue.addReadable(addressAt(chunk.address, chunk.sent), length);
        this.#pointInto(token, chunk);
        left -= length;
      }
      this.#queue.endChain(token);
      this.#ended(header.op);
    }
  }

  #pointInto(token: TxToken, chunk: SendChunk): void {
    if (chunk.packet !== undefined) chunk.packet.dma.lendToRead();
    else this.#lentInRing++;
    chunk.inRing++;
    token.chunks[token.runs++] = chunk;
  }

  /** The next `header.len` bytes of a packet, copied once more, into a buffer of the ring's. Only when there is room. */
  sendCopied(header: PacketHeader, chunk: SendChunk, ringBuffer: PacketBuffer): void {
    const token = this.#take();
    const { packet } = chunk;
    this.#stats.txCopied.header += HEADER_SIZE;
    if (packet !== undefined && chunk.sent === 0) {
      // The packet is header and payload; it is copied as a whole.
      writeHeader(this.#memory, packet.headerAddress, header);
      this.#memory.copy(ringBuffer.headerAddress, packet.headerAddress, HEADER_SIZE + header.len);
      this.#stats.txCopied.packetToRing += header.len;
      this.#stats.txCopied.headerToRing += HEADER_SIZE;
    } else {
      writeHeader(this.#memory, ringBuffer.headerAddress, header);
      this.#memory.copy(ringBuffer.payloadAddress, addressAt(chunk.address, chunk.sent), header.len);
      this.#stats.txCopied.packetToRing += header.len;
    }
    ringBuffer.dma.lendToRead();
    token.ringBuffer = ringBuffer;
    this.#lendOne(ringBuffer.headerAddress, HEADER_SIZE + header.len, token, header.op);
  }

  /** Takes back what the device has used. How many packets that were. */
  reclaim(): number {
    let count = 0;
    for (let token = this.#queue.poll(); token !== undefined; token = this.#queue.poll()) {
      if (token.kind === "tx") this.#giveBack(token);
      count++;
    }
    return count;
  }

  /** After a reset: `tokens` were in flight and are not any more. */
  close(tokens: readonly Token[]): void {
    for (const token of tokens) if (token.kind === "tx") this.#giveBack(token);
    this.free();
  }

  /** Frees the headers: nothing is in flight. */
  free(): void {
    this.#slots.giveBack();
    this.#slots.free();
  }

  #take(): TxToken {
    const token = this.#tokens.pop();
    if (token === undefined) throw noRoom();
    return token;
  }

  #lendOne(address: number, length: number, token: TxToken, op: number): void {
    if (!this.#queue.lendReadable(address, length, token)) throw noRoom();
    this.#ended(op);
  }

  #ended(op: number): void {
    this.#unpublished++;
    this.#stats.txPackets++;
    countPacket(this.#stats.txOps, op);
  }

  #giveBack(token: TxToken): void {
    const { ringBuffer, chunks, runs } = token;
    token.ringBuffer = undefined;
    token.runs = 0;
    this.#tokens.push(token);
    if (ringBuffer !== undefined) {
      ringBuffer.dma.giveBack();
      this.#pool.put(ringBuffer);
    }
    for (let i = 0; i < runs; i++) {
      const chunk = chunks[i];
      chunks[i] = undefined;
      if (chunk === undefined) continue;
      if (chunk.packet !== undefined) chunk.packet.dma.giveBack();
      else this.#lentInRing--;
      chunk.inRing--;
      if (chunk.over && chunk.inRing === 0) this.onChunkReturned(chunk);
    }
  }
}

/** Of code that sends without asking `hasRoom`. */
function noRoom(): RangeError {
  return new RangeError("a packet was sent without looking whether there is room");
}
