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
import { ChainWriter, NO_ROOM } from "./chain-writer.ts";
import { descriptorWords } from "./descriptor-table.ts";
import { DriverShadow } from "./driver-shadow.ts";
import { passesEvent } from "./event-idx.ts";
import { type IndirectOptions, IndirectTables } from "./indirect-tables.ts";
import { NotificationSwitch } from "./notification-switch.ts";
import { DESCRIPTOR_WRITE, DO_NOT_NOTIFY, INDEX_MASK } from "./numbers.ts";
import type { DriverQueue } from "./queue.ts";
import { assertQueueSize, type QueueLayout } from "./queue-layout.ts";
import { RegionCache } from "./region-cache.ts";
import { indexDistance } from "./ring-index.ts";
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

export class SplitDriverQueue<Token> implements DriverQueue<Token> {
  // 0 and false first: a field that starts as undefined is never again known to be a small integer.
  readonly size: number = 0;
  readonly memory: GuestMemory;
  readonly #eventIdx: boolean = false;
  readonly #table: Uint32Array;
  readonly #slotMask: number = 0;
  readonly #available: AvailableRing;
  readonly #availableEntries: Uint16Array;
  readonly #used: UsedRing;
  readonly #usedElements: Uint32Array;
  readonly #shadow: DriverShadow<Token>;
  readonly #writer: ChainWriter<Token>;

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
    this.#shadow = new DriverShadow(layout.size);
    const tables = indirect === undefined ? undefined : new IndirectTables(indirect, layout.size);
    this.#writer = new ChainWriter(this.#table, tables, new RegionCache(memory), this.#shadow);
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

  /** @throws RangeError and TypeError as `beginChain`, `addReadable` and `endChain` do. */
  lendReadable(address: number, length: number, token: Token): boolean {
    const head = this.#violation === undefined ? this.#writer.single(address, length, 0, token) : NO_ROOM;
    return head !== NO_ROOM && this.#offer(head);
  }

  /** @throws RangeError and TypeError as `beginChain`, `addWritable` and `endChain` do. */
  lendWritable(address: number, length: number, token: Token): boolean {
    const head =
      this.#violation === undefined ? this.#writer.single(address, length, DESCRIPTOR_WRITE, token) : NO_ROOM;
    return head !== NO_ROOM && this.#offer(head);
  }

  beginChain(segments: number): boolean {
    return this.#violation === undefined && this.#writer.begin(segments);
  }

  /**
   * @throws RangeError when the buffer is empty or not in guest memory, or the chain is full or not open; TypeError
   * after a writable buffer. The chain is dropped then.
   */
  addReadable(address: number, length: number): void {
    this.#writer.addReadable(address, length);
  }

  /** @throws RangeError when the buffer is empty or not in guest memory, or the chain is full or not open; it is dropped then. */
  addWritable(address: number, length: number): void {
    this.#writer.addWritable(address, length);
  }

  /** @throws TypeError when segments are missing (the chain is dropped then), or `token` is undefined. */
  endChain(token: Token): void {
    this.#offer(this.#writer.end(token));
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
    if (this.#writer.isOpen) throw this.#writer.drop("poll between beginChain and endChain");
    const index = this.#nextUsed;
    if (index === this.#seenUsed && !this.#look()) return undefined;
    const at = (index & this.#slotMask) << 1;
    const id = this.#usedElements[at] ?? 0;
    const length = this.#usedElements[at | 1] ?? 0;
    const slot = this.#shadow.shown(id);
    if (slot === undefined || length > slot.writable) {
      this.#break(wrongUsedElement(index, id, length, this.size, slot?.writable));
      return undefined;
    }
    this.#nextUsed = (index + 1) & INDEX_MASK;
    this.#usedLength = length;
    return this.#shadow.release(id, slot);
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
    this.#writer.reset();
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

  /** Puts a chain into the next entry of the available ring; `publish` shows it. */
  #offer(head: number): true {
    const index = this.#nextAvailable;
    this.#availableEntries[index & this.#slotMask] = head;
    this.#nextAvailable = (index + 1) & INDEX_MASK;
    return true;
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
}
