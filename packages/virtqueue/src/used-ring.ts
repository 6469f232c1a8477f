/**
 * The used ring (virtio 1.3 §2.7.8): the device writes it, the driver reads it.
 *
 * | offset     | field       | type      |                                                               |
 * |------------|-------------|-----------|---------------------------------------------------------------|
 * | 0          | flags       | le16      | bit 0: do not notify (without EVENT_IDX; else 0)              |
 * | 2          | idx         | le16      | free-running: where the device puts the next element          |
 * | 4          | ring[size]  | 8 B each  | id le32 (head of the chain), len le32 (bytes written)         |
 * | 4 + 8·size | avail_event | le16      | EVENT_IDX: notify when avail.idx passes this (§2.7.10)        |
 *
 * As in the available ring, flags, idx and avail_event go through Atomics, and the elements that idx covers are plain.
 */
import type { GuestAddress, GuestMemory } from "@toril/memory";
import type { SuppressionFields } from "./notification-switch.ts";
import { USED_RING_ALIGNMENT, usedRingBytes } from "./queue-layout.ts";
import { ringArea } from "./ring-area.ts";

const FLAGS = 0;
const INDEX = 1;
const ELEMENTS_OFFSET = 4;

export class UsedRing implements SuppressionFields {
  /**
   * The elements alone, two words each, for the hot path: the element at free-running index i is at
   * `2 * (i & (size - 1))`, its id first. Written by the device: a driver must check what it finds.
   */
  readonly elements: Uint32Array;
  readonly #halves: Uint16Array;
  readonly #availEvent: number;

  /** @throws RangeError when the ring is misaligned or not in one region. */
  constructor(memory: GuestMemory, address: GuestAddress, size: number) {
    const bytes = usedRingBytes(size);
    const { buffer, byteOffset } = ringArea(memory, "used ring", address, bytes, USED_RING_ALIGNMENT);
    this.#halves = new Uint16Array(buffer, byteOffset, bytes / 2);
    this.elements = new Uint32Array(buffer, byteOffset + ELEMENTS_OFFSET, 2 * size);
    this.#availEvent = bytes / 2 - 1;
  }

  loadIndex(): number {
    return Atomics.load(this.#halves, INDEX);
  }

  /** Publishes all elements before `index`; a full barrier. */
  storeIndex(index: number): void {
    Atomics.store(this.#halves, INDEX, index);
  }

  loadFlags(): number {
    return Atomics.load(this.#halves, FLAGS);
  }

  storeFlags(flags: number): void {
    Atomics.store(this.#halves, FLAGS, flags);
  }

  /** avail_event. */
  loadEvent(): number {
    return Atomics.load(this.#halves, this.#availEvent);
  }

  /** avail_event. */
  storeEvent(index: number): void {
    Atomics.store(this.#halves, this.#availEvent, index);
  }

  /** All fields 0, as a driver leaves them before it enables the queue. */
  clear(): void {
    this.#halves.fill(0);
  }
}
