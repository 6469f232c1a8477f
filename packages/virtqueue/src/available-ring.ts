/**
 * The available ring (virtio 1.3 §2.7.6): the driver writes it, the device reads it.
 *
 * | offset     | field      | type       |                                                              |
 * |------------|------------|------------|--------------------------------------------------------------|
 * | 0          | flags      | le16       | bit 0: do not interrupt (without EVENT_IDX; else 0)          |
 * | 2          | idx        | le16       | free-running: where the driver puts the next head            |
 * | 4          | ring[size] | le16 each  | heads of chains                                              |
 * | 4 + 2·size | used_event | le16       | EVENT_IDX: interrupt when used.idx passes this (§2.7.7)      |
 *
 * flags, idx and used_event are what the two threads agree through, so they go through Atomics, whose sequential
 * consistency is the barrier that §2.7.13.3.1 and §2.7.7 ask for. Entries are plain: the idx that covers them is stored after
 * them and loaded before them.
 */
import type { GuestAddress, GuestMemory } from "@toril/memory";
import type { SuppressionFields } from "./notification-switch.ts";
import { AVAILABLE_RING_ALIGNMENT, availableRingBytes } from "./queue-layout.ts";
import { ringArea } from "./ring-area.ts";

const FLAGS = 0;
const INDEX = 1;
const ENTRIES = 2;

export class AvailableRing implements SuppressionFields {
  /**
   * The entries alone, for the hot path: that at free-running index i is `entries[i & (size - 1)]`. Written by the
   * driver: a device must check what it finds.
   */
  readonly entries: Uint16Array;
  readonly #halves: Uint16Array;
  readonly #usedEvent: number;

  /** @throws RangeError when the ring is misaligned or not in one region. */
  constructor(memory: GuestMemory, address: GuestAddress, size: number) {
    const bytes = availableRingBytes(size);
    const { buffer, byteOffset } = ringArea(memory, "available ring", address, bytes, AVAILABLE_RING_ALIGNMENT);
    this.#halves = new Uint16Array(buffer, byteOffset, bytes / 2);
    this.entries = new Uint16Array(buffer, byteOffset + 2 * ENTRIES, size);
    this.#usedEvent = ENTRIES + size;
  }

  loadIndex(): number {
    return Atomics.load(this.#halves, INDEX);
  }

  /** Publishes all heads before `index`; a full barrier. */
  storeIndex(index: number): void {
    Atomics.store(this.#halves, INDEX, index);
  }

  loadFlags(): number {
    return Atomics.load(this.#halves, FLAGS);
  }

  storeFlags(flags: number): void {
    Atomics.store(this.#halves, FLAGS, flags);
  }

  /** used_event. */
  loadEvent(): number {
    return Atomics.load(this.#halves, this.#usedEvent);
  }

  /** used_event. */
  storeEvent(index: number): void {
    Atomics.store(this.#halves, this.#usedEvent, index);
  }

  /** All fields 0, as a driver leaves them before it enables the queue. */
  clear(): void {
    this.#halves.fill(0);
  }
}
