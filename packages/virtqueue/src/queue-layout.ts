/** Where a split virtqueue lies (virtio 1.3 §2.7): three areas, each in one region of guest memory. */
import { addressAt, alignUp, type GuestAddress } from "@toril/memory";

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
export const DESCRIPTOR_SIZE = 16;
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

/** Bytes that `layoutAt` needs, used ring included, from an address aligned to 16. */
export function queueBytes(size: number): number {
  return alignTo(descriptorTableBytes(size) + availableRingBytes(size), USED_RING_ALIGNMENT) + usedRingBytes(size);
}

/**
 * The three areas one behind the other.
 * @throws RangeError when `size` is no queue size.
 */
export function layoutAt(base: GuestAddress, size: number): QueueLayout {
  if (!isQueueSize(size)) throw new RangeError(`a queue of ${size} entries: it must be a power of 2 up to ${MAX_QUEUE_SIZE}`);
  const descriptorTable = alignUp(base, DESCRIPTOR_TABLE_ALIGNMENT);
  const availableRing = addressAt(descriptorTable, descriptorTableBytes(size));
  const usedRing = alignUp(addressAt(availableRing, availableRingBytes(size)), USED_RING_ALIGNMENT);
  return { size, descriptorTable, availableRing, usedRing };
}

function alignTo(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
