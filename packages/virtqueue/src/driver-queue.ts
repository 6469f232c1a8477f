/**
 * The driver's side of a split virtqueue: puts chains of its buffers into the available ring, and takes them back from
 * the used ring.
 *
 * | memory           | written by | trusted?                                                              |
 * |------------------|------------|-----------------------------------------------------------------------|
 * | descriptor table | this queue | never read back: a device that scribbles over it confuses only itself |
 * | indirect tables  | this queue | never read back                                                       |
 * | available ring   | this queue | never read back                                                       |
 * | used ring        | device     | no: how far idx moved, each id and each length are checked            |
 * | the shadow       | this queue | yes: what is free, what is in flight, how much may come back          |
 */
import type { GuestMemory } from "@toril/memory";
import { AvailableRing } from "./available-ring.ts";
import {
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
  descriptorLink,
  descriptorWords,
  writeDescriptor,
} from "./descriptor-table.ts";
import { DriverShadow, type Slot } from "./driver-shadow.ts";
import { passesEvent } from "./event-idx.ts";
import { type IndirectOptions, IndirectTables } from "./indirect-tables.ts";
import { DO_NOT_NOTIFY, NotificationSwitch } from "./notification-switch.ts";
import type { DriverQueue } from "./queue.ts";
import { assertQueueSize, DESCRIPTOR_SIZE, type QueueLayout } from "./queue-layout.ts";
import { RegionCache } from "./region-cache.ts";
import { indexAfter, indexDistance } from "./ring-index.ts";
import { UsedRing } from "./used-ring.ts";
import { usedIndexJump, wrongUsedElement } from "./used-violation.ts";
import type { QueueViolation } from "./violation.ts";

export interface SplitDriverQueueOptions {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
  /** VIRTIO_F_EVENT_IDX (29) was negotiated. */
  readonly eventIdx: boolean;
  /** Only when VIRTIO_F_INDIRECT_DESC (28) was negotiated: a chain of several segments then takes one descriptor. */
  readonly indirect?: IndirectOptions;
  /**
   * Where the rings start: 0 unless told, and after every reset (§2.7.6, §2.7.8). Another value is for a device that
   * takes it too (`SplitDeviceQueueOptions.startIndex`), and lets a test reach the wrap of the indices at once.
   */
  readonly startIndex?: number;
}

/** §2.7.5.2: "MUST NOT add a descriptor chain longer than 2^32 bytes in total". */
const MAX_CHAIN_BYTES = 0x1_0000_0000;
/** len is an le32. */
const MAX_SEGMENT_BYTES = 0xffff_ffff;

const NO_CHAIN = -1;
const DIRECT = -1;

export class SplitDriverQueue<Token> implements DriverQueue<Token> {
  readonly size: number;
  readonly memory: GuestMemory;
  readonly #eventIdx: boolean;
  readonly #table: Uint32Array;
  readonly #slotMask: number;
  readonly #available: AvailableRing;
  readonly #availableEntries: Uint16Array;
  readonly #used: UsedRing;
  readonly #usedElements: Uint32Array;
  readonly #indirect: IndirectTables | undefined;
  readonly #regions: RegionCache;
  readonly #shadow: DriverShadow<Token>;

  // The chain that is being built. Its descriptors come off the free list when it ends, so it can be dropped any time.
  #segments = 0;
  /** Segments still to come; NO_CHAIN when none is open. */
  #remaining = NO_CHAIN;
  /** A direct chain: the next descriptor to fill, and the one filled last. */
  #nextSlot: Slot<Token>;
  #lastSlot: Slot<Token>;
  /** An indirect chain: how many descriptors of its table are filled; DIRECT otherwise. */
  #filled = DIRECT;
  #bytes = 0;
  #writableBytes = 0;

  // Free-running indices: ended chains and those the device can see; used chains taken and those we have seen.
  #nextAvailable = 0;
  #publishedAvailable = 0;
  #nextUsed = 0;
  #seenUsed = 0;
  #usedLength = 0;

  readonly #notifications: NotificationSwitch;
  #violation: QueueViolation | undefined;

  /**
   * Zeroes the rings: make the queue before the device is told where they are.
   * @throws RangeError when the layout does not lie in memory as §2.7 asks, the indirect tables do not fit, or
   * `startIndex` is no 16-bit number.
   */
  constructor({ memory, layout, eventIdx, indirect, startIndex = 0 }: SplitDriverQueueOptions) {
    assertQueueSize(layout.size);
    if (startIndex !== (startIndex & 0xffff)) throw new RangeError(`start index ${startIndex}: give 0 to 65,535`);
    this.size = layout.size;
    this.memory = memory;
    this.#eventIdx = eventIdx;
    this.#table = descriptorWords(memory, layout.descriptorTable, layout.size);
    this.#slotMask = layout.size - 1;
    this.#available = new AvailableRing(memory, layout.availableRing, layout.size);
    this.#availableEntries = this.#available.entries;
    this.#used = new UsedRing(memory, layout.usedRing, layout.size);
    this.#usedElements = this.#used.elements;
    this.#notifications = new NotificationSwitch(this.#available, eventIdx, startIndex);
    this.#indirect = indirect === undefined ? undefined : new IndirectTables(indirect, layout.size);
    this.#regions = new RegionCache(memory);
    this.#shadow = new DriverShadow(layout.size);
    this.#nextSlot = this.#shadow.firstFree;
    this.#lastSlot = this.#shadow.firstFree;
    this.#clearRings();
    if (startIndex !== 0) this.#startAt(startIndex);
  }

  get free(): number {
    return this.#shadow.free;
  }

  get inFlight(): number {
    return indexDistance(this.#nextUsed, this.#nextAvailable);
  }

  get violation(): QueueViolation | undefined {
    return this.#violation;
  }

  get usedLength(): number {
    return this.#usedLength;
  }

  beginChain(segments: number): boolean {
    if (this.#remaining !== NO_CHAIN) throw this.#drop("a chain was begun before the one before it was ended");
    if (!(segments >= 1 && segments <= this.size && Number.isInteger(segments))) throw this.#wrongCount(segments);
    if (this.#violation !== undefined) return false;
    const shadow = this.#shadow;
    const indirect = this.#indirect;
    if (indirect !== undefined && segments > 1 && segments <= indirect.maxSegments) {
      if (shadow.free === 0) return false;
      this.#filled = 0;
    } else {
      if (shadow.free < segments) return false;
      this.#filled = DIRECT;
      this.#nextSlot = shadow.firstFree;
    }
    this.#segments = segments;
    this.#remaining = segments;
    this.#bytes = 0;
    this.#writableBytes = 0;
    return true;
  }

  /**
   * @throws RangeError when the buffer is empty or not in guest memory, or the chain is full or not open; TypeError
   * after a writable buffer. The chain is dropped then.
   */
  addReadable(address: number, length: number): void {
    // §2.7.4.2: "MUST place any device-writable descriptor elements after any device-readable descriptor elements".
    if (this.#writableBytes > 0) throw this.#drop("a readable buffer was added after a writable one");
    this.#add(address, length, 0);
  }

  /** @throws RangeError when the buffer is empty or not in guest memory, or the chain is full or not open; it is dropped then. */
  addWritable(address: number, length: number): void {
    this.#add(address, length, DESCRIPTOR_WRITE);
    this.#writableBytes += length;
  }

  /** @throws TypeError when segments are missing (the chain is dropped then), or `token` is undefined. */
  endChain(token: Token): void {
    if (this.#remaining !== 0) throw this.#drop(this.#remaining < 0 ? "no chain is open" : "segments are missing");
    if (token === undefined) throw this.#drop("a token is undefined, which is what poll returns for none");
    this.#remaining = NO_CHAIN;
    const index = this.#nextAvailable;
    const shadow = this.#shadow;
    const head = shadow.firstFree;
    if (this.#filled === DIRECT) {
      shadow.take(this.#segments, this.#lastSlot, this.#writableBytes, token);
    } else {
      this.#referToTable(head.index);
      shadow.take(1, head, this.#writableBytes, token);
    }
    this.#availableEntries[index & this.#slotMask] = head.index;
    this.#nextAvailable = indexAfter(index);
  }

  publish(): boolean {
    const before = this.#publishedAvailable;
    const now = this.#nextAvailable;
    if (now === before || this.#violation !== undefined) return false;
    this.#available.storeIndex(now);
    this.#publishedAvailable = now;
    this.#shadow.published();
    // §2.7.13.4.1: the store above is a full barrier. A device that armed before it is seen here, one that arms later sees `now`.
    if (this.#eventIdx) return passesEvent(this.#used.loadEvent(), now, before);
    return (this.#used.loadFlags() & DO_NOT_NOTIFY) === 0;
  }

  /** @throws TypeError when a chain is open: its descriptors are still on the list that `poll` gives others back to. */
  poll(): Token | undefined {
    if (this.#remaining !== NO_CHAIN) throw this.#drop("poll between beginChain and endChain");
    if (this.#nextUsed === this.#seenUsed && !this.#look()) return undefined;
    const index = this.#nextUsed;
    const at = (index & this.#slotMask) << 1;
    const id = this.#usedElements[at] ?? 0;
    const length = this.#usedElements[at | 1] ?? 0;
    const head = id < this.size ? this.#shadow.shown(id) : undefined;
    if (head === undefined || length > head.writable) {
      this.#break(wrongUsedElement(index, id, length, this.size, head?.writable));
      return undefined;
    }
    this.#nextUsed = indexAfter(index);
    this.#usedLength = length;
    return this.#shadow.release(head);
  }

  armUsedNotifications(): boolean {
    if (this.#violation !== undefined) return false;
    this.#notifications.arm(this.#nextUsed);
    return this.#used.loadIndex() !== this.#nextUsed;
  }

  suppressUsedNotifications(): void {
    this.#notifications.suppress(this.#nextUsed);
  }

  reset(): Token[] {
    const tokens = this.#shadow.reset();
    this.#remaining = NO_CHAIN;
    this.#nextAvailable = 0;
    this.#publishedAvailable = 0;
    this.#nextUsed = 0;
    this.#seenUsed = 0;
    this.#usedLength = 0;
    this.#notifications.reset();
    this.#violation = undefined;
    this.#clearRings();
    return tokens;
  }

  #add(address: number, length: number, flags: number): void {
    const remaining = this.#remaining - 1;
    if (remaining < 0) throw this.#drop(this.#remaining < 0 ? "no chain is open" : "the chain has all its segments");
    const lendable = isWhole(address) && isWhole(length) && length >= 1 && length <= MAX_SEGMENT_BYTES;
    if (!lendable || !this.#regions.holds(address, length)) throw this.#wrongBuffer(address, length);
    this.#bytes += length;
    if (this.#bytes > MAX_CHAIN_BYTES) throw this.#wrongBuffer(address, length);
    this.#remaining = remaining;
    if (this.#filled === DIRECT) {
      const slot = this.#nextSlot;
      const next = slot.next;
      const link = remaining === 0 ? flags : descriptorLink(flags | DESCRIPTOR_NEXT, next.index);
      writeDescriptor(this.#table, slot.index, address, length, link);
      this.#lastSlot = slot;
      this.#nextSlot = next;
    } else if (this.#indirect !== undefined) {
      const at = this.#filled++;
      const link = remaining === 0 ? flags : descriptorLink(flags | DESCRIPTOR_NEXT, at + 1);
      this.#indirect.write(this.#shadow.firstFree.index, at, address, length, link);
    }
  }

  /** Fills the one direct descriptor of an indirect chain (§2.7.5.3). */
  #referToTable(head: number): void {
    const address = this.#indirect?.address(head) ?? 0;
    writeDescriptor(this.#table, head, address, this.#segments * DESCRIPTOR_SIZE, DESCRIPTOR_INDIRECT);
  }

  /** Looks how far the device has come: one atomic load per drain. */
  #look(): boolean {
    if (this.#violation !== undefined) return false;
    const index = this.#used.loadIndex();
    const waiting = indexDistance(this.#nextUsed, index);
    if (waiting === 0) return false;
    const shown = indexDistance(this.#nextUsed, this.#publishedAvailable);
    if (waiting > shown) {
      this.#break(usedIndexJump(this.#nextUsed, index, shown));
      return false;
    }
    this.#seenUsed = index;
    return true;
  }

  #break(problem: QueueViolation): void {
    this.#violation = problem;
    this.#seenUsed = this.#nextUsed;
  }

  /** §2.7.10.1: "The driver MUST initialize flags in the used ring to 0"; indices start at 0 (§2.7.6, §2.7.8). */
  #clearRings(): void {
    this.#table.fill(0);
    this.#available.clear();
    this.#used.clear();
  }

  /** Fresh rings that start at `index`: each side asks to be notified of the entry there, as zeroes ask at 0. */
  #startAt(index: number): void {
    this.#nextAvailable = index;
    this.#publishedAvailable = index;
    this.#nextUsed = index;
    this.#seenUsed = index;
    for (const ring of [this.#available, this.#used]) {
      ring.storeIndex(index);
      ring.storeEvent(index);
    }
  }

  /** The caller's bug: the open chain is dropped, as if it had not been begun. */
  #drop(bug: string): TypeError {
    this.#remaining = NO_CHAIN;
    return new TypeError(`wrong use of a driver queue: ${bug}`);
  }

  #wrongCount(segments: number): RangeError {
    return new RangeError(
      `a chain of ${segments} segments: give 1 to ${this.size}, the size of the queue (§2.7.5.3.1)`,
    );
  }

  #wrongBuffer(address: number, length: number): RangeError {
    this.#remaining = NO_CHAIN;
    if (this.#bytes > MAX_CHAIN_BYTES) return new RangeError("a chain of more than 2^32 bytes (§2.7.5.2)");
    return new RangeError(`${length} bytes at guest address ${address} cannot be lent: empty, or not in guest memory`);
  }
}

/** The first test is free for the small integers that most addresses and lengths are. */
function isWhole(value: number): boolean {
  return (value | 0) === value || Number.isSafeInteger(value);
}
