/**
 * The device's side of a split virtqueue: takes chains from the available ring, returns them through the used ring.
 *
 * | memory           | written by | trusted?                                                            |
 * |------------------|------------|---------------------------------------------------------------------|
 * | descriptor table | driver     | no: read once, checked by the chain reader                          |
 * | available ring   | driver     | no: how far idx moved, and each head, are checked                   |
 * | used ring        | this queue | not read back                                                       |
 * | `#heads`         | this queue | yes: which heads are out, and how much may be written into each     |
 */
import type { GuestMemory } from "@toril/memory";
import { AvailableRing } from "./available-ring.ts";
import { SplitChain } from "./chain.ts";
import { ChainReader } from "./chain-reader.ts";
import { passesEvent } from "./event-idx.ts";
import { NotificationSwitch } from "./notification-switch.ts";
import { DO_NOT_NOTIFY, INDEX_MASK, MAX_LENGTH } from "./numbers.ts";
import type { Chain, DeviceQueue } from "./queue.ts";
import { assertQueueSize, type QueueLayout } from "./queue-layout.ts";
import { indexDistance } from "./ring-index.ts";
import { UsedRing } from "./used-ring.ts";
import { type QueueViolation, violation } from "./violation.ts";

export interface SplitDeviceQueueOptions {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
  /** VIRTIO_F_EVENT_IDX (29) was negotiated. */
  readonly eventIdx: boolean;
  /** VIRTIO_F_INDIRECT_DESC (28) was negotiated. */
  readonly indirect: boolean;
  /**
   * Where the rings stand, when the queue was in use before with no chain outstanding (vhost-user's SET_VRING_BASE):
   * the free-running index of the next available entry, which is also that of the next used one. 0 unless told.
   */
  readonly startIndex?: number;
}

export class SplitDeviceQueue implements DeviceQueue {
  // 0 and false first: a field that starts as undefined is never again known to be a small integer.
  readonly size: number = 0;
  readonly memory: GuestMemory;
  readonly #eventIdx: boolean = false;
  readonly #slotMask: number = 0;
  readonly #available: AvailableRing;
  readonly #availableEntries: Uint16Array;
  readonly #used: UsedRing;
  readonly #usedElements: Uint32Array;
  readonly #reader: ChainReader;

  /** Free-running index of the next available entry to take, and how far the driver had published when we last looked. */
  #nextAvailable = 0;
  #seenAvailable = 0;
  /** Free-running index of the next used element to write, and the one that the driver can see. */
  #nextUsed = 0;
  #publishedUsed = 0;

  /** Per head: how many bytes may be written (a used element's len has 32 bits) while the chain is outstanding, else -1. */
  readonly #heads: Float64Array;
  /** The chain object that was filled last: no need to check again whose it is. */
  #lastChain: SplitChain;

  readonly #notifications: NotificationSwitch;
  #violation: QueueViolation | undefined;

  /** @throws RangeError when the layout does not lie in memory as §2.7 asks (`layoutProblem` says it without throwing). */
  constructor({ memory, layout, eventIdx, indirect, startIndex = 0 }: SplitDeviceQueueOptions) {
    assertQueueSize(layout.size);
    if (startIndex !== (startIndex & 0xffff)) throw new RangeError(`start index ${startIndex}: give 0 to 65,535`);
    this.size = layout.size;
    this.memory = memory;
    this.#eventIdx = eventIdx;
    this.#slotMask = layout.size - 1;
    this.#available = new AvailableRing(memory, layout.availableRing, layout.size);
    this.#availableEntries = this.#available.entries;
    this.#used = new UsedRing(memory, layout.usedRing, layout.size);
    this.#usedElements = this.#used.elements;
    this.#reader = new ChainReader(memory, layout, indirect ? "negotiated" : "refused");
    this.#nextAvailable = startIndex;
    this.#seenAvailable = startIndex;
    this.#nextUsed = startIndex;
    this.#publishedUsed = startIndex;
    this.#notifications = new NotificationSwitch(this.#used, eventIdx, startIndex);
    this.#heads = new Float64Array(layout.size).fill(-1);
    this.#lastChain = new SplitChain(this, memory, 1);
  }

  get outstanding(): number {
    return indexDistance(this.#nextUsed, this.#nextAvailable);
  }

  get violation(): QueueViolation | undefined {
    return this.#violation;
  }

  /** Free-running index of the next available entry: where a later queue over the same rings starts. */
  get availableIndex(): number {
    return this.#nextAvailable;
  }

  createChain(): Chain {
    return new SplitChain(this, this.memory, this.size);
  }

  /** @throws TypeError when `chain` was made by another queue. */
  next(chain: Chain): boolean {
    const filled = chain === this.#lastChain ? this.#lastChain : this.#own(chain);
    const index = this.#nextAvailable;
    if (index === this.#seenAvailable && !this.#look()) return false;
    const head = this.#availableEntries[index & this.#slotMask] ?? 0;
    if (head >= this.size) return this.#refuseHead(head);
    const heads = this.#heads;
    if ((heads[head] ?? 0) >= 0) return this.#refuseRepeatedHead(head);
    if (!this.#reader.readSingle(head, filled) && !this.#readAny(head, filled)) return false;
    heads[head] = Math.min(filled.writableBytes, MAX_LENGTH);
    this.#nextAvailable = (index + 1) & INDEX_MASK;
    return true;
  }

  complete(head: number, written: number): void {
    const heads = this.#heads;
    const writable = heads[head] ?? -1;
    if (!(written >= 0 && written <= writable)) throw this.#wrongCompletion(head, written);
    heads[head] = -1;
    const index = this.#nextUsed;
    const at = (index & this.#slotMask) << 1;
    this.#usedElements[at] = head;
    this.#usedElements[at | 1] = written;
    this.#nextUsed = (index + 1) & INDEX_MASK;
  }

  publish(): boolean {
    const before = this.#publishedUsed;
    const now = this.#nextUsed;
    if (now === before) return false;
    this.#used.storeIndex(now);
    this.#publishedUsed = now;
    // The store above is a full barrier: a driver that armed before it is seen here, one that arms after it sees `now`.
    if (this.#eventIdx) return passesEvent(this.#available.loadEvent(), now, before);
    return (this.#available.loadFlags() & DO_NOT_NOTIFY) === 0;
  }

  armAvailableNotifications(): boolean {
    if (this.#violation !== undefined) return false;
    this.#notifications.arm(this.#nextAvailable);
    return this.#available.loadIndex() !== this.#nextAvailable;
  }

  suppressAvailableNotifications(): void {
    this.#notifications.suppress(this.#nextAvailable);
  }

  /** Looks how far the driver has come: one atomic load per drain. */
  #look(): boolean {
    if (this.#violation !== undefined) return false;
    const index = this.#available.loadIndex();
    const waiting = indexDistance(this.#nextAvailable, index);
    if (waiting === 0) return false;
    // Each chain has at least one descriptor, so all chains that the driver has not seen back are at most `size`.
    const room = this.size - indexDistance(this.#publishedUsed, this.#nextAvailable);
    if (waiting > room) return this.#refuseIndex(index, room);
    this.#seenAvailable = index;
    return true;
  }

  #readAny(head: number, chain: SplitChain): boolean {
    const problem = this.#reader.read(head, chain);
    return problem === undefined || this.#break(problem);
  }

  #own(chain: Chain): SplitChain {
    if (!(chain instanceof SplitChain) || chain.owner !== this) {
      throw new TypeError("this chain object was not made by this queue's createChain");
    }
    this.#lastChain = chain;
    return chain;
  }

  #break(problem: QueueViolation): false {
    this.#violation = problem;
    this.#seenAvailable = this.#nextAvailable;
    return false;
  }

  // What is rare stands apart: the engine inlines a function only while it is small.

  #refuseIndex(index: number, room: number): false {
    const message = `avail.idx went from ${this.#nextAvailable} to ${index}, but only ${room} chains can be new`;
    return this.#break(violation("avail-index-jump", "2.7.6.1", message));
  }

  #refuseHead(head: number): false {
    const message = `available entry ${this.#nextAvailable} names descriptor ${head} of a table of ${this.size}`;
    return this.#break(violation("head-out-of-range", "2.7.6", message));
  }

  #refuseRepeatedHead(head: number): false {
    const message = `available entry ${this.#nextAvailable} names chain ${head}, which the driver has not got back`;
    return this.#break(violation("head-in-flight", "2.7.13", message));
  }

  #wrongCompletion(head: number, written: number): RangeError {
    const writable = this.#heads[head] ?? -1;
    if (writable < 0) return new RangeError(`chain ${head} cannot be completed: it is not outstanding`);
    return new RangeError(`chain ${head} cannot be completed with ${written} bytes: ${writable} are writable`);
  }
}
