/** Where a split virtqueue lies (virtio 1.3 §2.7): three areas, each in one region of guest memory. */
import { addressAt, alignUp, type GuestAddress, type GuestMemory } from "@toril/memory";
import { DESCRIPTOR_SIZE } from "./numbers.ts";
import { ringAreaProblem } from "./ring-area.ts";

export { DESCRIPTOR_SIZE };

/** §2.7: the areas and their alignment. */
export interface QueueLayout {
  /** Number of descriptors: a power of two, at most 32,768. */
  readonly size: number;
  /** Descriptor table: 16 bytes each, aligned to 16. */
  readonly descriptorTable: GuestAddress;
  /** Available ring ("driver area"): 6 + 2·size bytes, aligned to 2. */
  readonly availableRing: GuestAddress;
  /** Used ring ("device area"): 6 + 8·size bytes, aligned to 4. */
  readonly usedRing: GuestAddress;
}

/** §2.7: "Queue Size value is always a power of 2. The maximum Queue Size value is 32768." */
export const MAX_QUEUE_SIZE = 32_768;
export const DESCRIPTOR_TABLE_ALIGNMENT = 16;
export const AVAILABLE_RING_ALIGNMENT = 2;
export const USED_RING_ALIGNMENT = 4;

export const descriptorTableBytes = (size: number): number => DESCRIPTOR_SIZE * size;
/** flags, idx, ring[size], used_event. */
export const availableRingBytes = (size: number): number => 6 + 2 * size;
/** flags, idx, ring[size] of 8 bytes, avail_event. */
export const usedRingBytes = (size: number): number => 6 + 8 * size;

export function isQueueSize(size: number): boolean {
  return Number.isInteger(size) && size >= 1 && size <= MAX_QUEUE_SIZE && (size & (size - 1)) === 0;
}

/** @throws RangeError when `size` is no queue size. */
export function assertQueueSize(size: number): void {
  if (!isQueueSize(size)) throw new RangeError(sizeProblem(size));
}

function sizeProblem(size: number): string {
  return `a queue of ${size} entries: it must be a power of 2 up to ${MAX_QUEUE_SIZE}`;
}

/**
 * What is wrong with a layout that a driver gave, as a sentence; `undefined` when nothing is. For hosts, to whom the
 * layout is a peer's input: the queues' constructors throw for the same faults.
 */
export function layoutProblem(memory: GuestMemory, layout: QueueLayout): string | undefined {
  const { size, descriptorTable, availableRing, usedRing } = layout;
  if (!isQueueSize(size)) return sizeProblem(size);
  return (
    ringAreaProblem(
      memory,
      "descriptor table",
      descriptorTable,
      descriptorTableBytes(size),
      DESCRIPTOR_TABLE_ALIGNMENT,
    ) ??
    ringAreaProblem(memory, "available ring", availableRing, availableRingBytes(size), AVAILABLE_RING_ALIGNMENT) ??
    ringAreaProblem(memory, "used ring", usedRing, usedRingBytes(size), USED_RING_ALIGNMENT)
  );
}

/** Bytes that `layoutAt` needs, used ring included, from an address aligned to 16. */
export function queueBytes(size: number): number {
  return alignTo(descriptorTableBytes(size) + availableRingBytes(size), USED_RING_ALIGNMENT) + usedRingBytes(size);
}

/**
 * The three areas one behind the other.
 * @throws RangeError when `size` is no queue size.
 */
export function layoutAt(base: GuestAddress, size: number): QueueLayout {
  assertQueueSize(size);
  const descriptorTable = alignUp(base, DESCRIPTOR_TABLE_ALIGNMENT);
  const availableRing = addressAt(descriptorTable, descriptorTableBytes(size));
  const usedRing = alignUp(addressAt(availableRing, availableRingBytes(size)), USED_RING_ALIGNMENT);
  return { size, descriptorTable, availableRing, usedRing };
}

function alignTo(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
