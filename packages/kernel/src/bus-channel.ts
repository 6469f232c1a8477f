/**
 * One channel of the bus, from one core to another: a split virtqueue. The sender is its driver and owns the slots, the
 * receiver is its device. A message is copied into a slot, and out of it: cores share no objects and no buffers.
 */
import { addressAt, type GuestAddress, type GuestMemory } from "@toril/memory";
import { type Chain, SplitDeviceQueue, SplitDriverQueue } from "@toril/virtqueue";
import { type ChannelPlace, type ChannelShape, HEADER_BYTES } from "./bus-layout.ts";

/** Counters; they only grow. */
export interface ChannelStats {
  messages: number;
  bytes: number;
  /** Rings of the other core's bell. */
  rings: number;
}

const createStats = (): ChannelStats => ({ messages: 0, bytes: 0, rings: 0 });

export class ChannelSender {
  readonly maxMessage: number;
  readonly stats: ChannelStats = createStats();
  readonly #memory: GuestMemory;
  readonly #queue: SplitDriverQueue<number>;
  readonly #slots: GuestAddress;
  readonly #slotBytes: number;
  readonly #free: number[];
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #headerWord = new Uint32Array(this.#header.buffer);
  readonly #ringReceiver: () => void;

  constructor(memory: GuestMemory, place: ChannelPlace, shape: ChannelShape, ringReceiver: () => void) {
    this.#memory = memory;
    this.#queue = new SplitDriverQueue<number>({ memory, layout: place.layout, eventIdx: true });
    this.#slots = place.slots;
    this.#slotBytes = shape.slotBytes;
    this.maxMessage = shape.slotBytes - HEADER_BYTES;
    this.#free = Array.from({ length: shape.slots }, (_, slot) => slot);
    this.#ringReceiver = ringReceiver;
  }

  /** What the receiver did to the ring that it may not: no message will ever get through again. */
  get broken(): string | undefined {
    return this.#queue.violation?.message;
  }

  /** `false`: no slot is free. The caller has checked the length. */
  trySend(kind: number, bytes: Uint8Array): boolean {
    if (this.#free.length === 0) this.reclaim();
    const slot = this.#free.pop();
    if (slot === undefined) return false;
    const address = addressAt(this.#slots, slot * this.#slotBytes);
    this.#headerWord[0] = kind;
    this.#memory.write(address, this.#header);
    this.#memory.write(addressAt(address, HEADER_BYTES), bytes);
    // There are as many descriptors as slots, so a free slot means a free descriptor, unless the queue is broken.
    if (!this.#queue.lendReadable(address, HEADER_BYTES + bytes.length, slot)) return false;
    this.stats.messages++;
    this.stats.bytes += bytes.length;
    if (this.#queue.publish()) {
      this.stats.rings++;
      this.#ringReceiver();
    }
    return true;
  }

  /** Takes slots back that the receiver is done with. Whether there were any. */
  reclaim(): boolean {
    let any = false;
    for (let slot = this.#queue.poll(); slot !== undefined; slot = this.#queue.poll()) {
      this.#free.push(slot);
      any = true;
    }
    return any;
  }

  /** Asks to be rung when a slot comes back. `true`: one has. */
  arm(): boolean {
    return this.#queue.armUsedNotifications();
  }
}

export class ChannelReceiver {
  readonly stats: ChannelStats = createStats();
  readonly #queue: SplitDeviceQueue;
  readonly #chain: Chain;
  readonly #slotBytes: number;
  readonly #ringSender: () => void;
  #kind = 0;

  constructor(memory: GuestMemory, place: ChannelPlace, shape: ChannelShape, ringSender: () => void) {
    this.#queue = new SplitDeviceQueue({ memory, layout: place.layout, eventIdx: true, indirect: false });
    this.#chain = this.#queue.createChain();
    this.#slotBytes = shape.slotBytes;
    this.#ringSender = ringSender;
  }

  /** What the sender did to the ring that it may not: nothing comes from it any more. */
  get broken(): string | undefined {
    return this.#queue.violation?.message;
  }

  /** The kind of the message that `take` returned last. */
  get kind(): number {
    return this.#kind;
  }

  /** A copy of the next message; `undefined`: none. Call `publish` after the last one. */
  take(): Uint8Array | undefined {
    while (this.#queue.next(this.#chain)) {
      const chain = this.#chain;
      const length = chain.readableBytes;
      let bytes: Uint8Array | undefined;
      if (length >= HEADER_BYTES && length <= this.#slotBytes) {
        bytes = new Uint8Array(length);
        chain.read(0, bytes);
      }
      this.#queue.complete(chain.head, 0);
      // Too short or too long: not made by our sender. It gets its slot back, and nobody sees a message.
      if (bytes === undefined) continue;
      this.#kind = new Uint32Array(bytes.buffer, 0, 1)[0] ?? 0;
      this.stats.messages++;
      this.stats.bytes += length - HEADER_BYTES;
      return bytes.subarray(HEADER_BYTES);
    }
    return undefined;
  }

  /** Gives the slots back, in one store. */
  publish(): void {
    if (!this.#queue.publish()) return;
    this.stats.rings++;
    this.#ringSender();
  }

  /** Asks to be rung for the next message. `true`: there is one. */
  arm(): boolean {
    return this.#queue.armAvailableNotifications();
  }
}
