/**
 * The descriptor table (virtio 1.3 §2.7.5): `size` descriptors that the driver writes and the device only reads.
 *
 * | offset | field | type | here                                             |
 * |--------|-------|------|--------------------------------------------------|
 * | 0      | addr  | le64 | word 0 (low half) and word 1 (high half)         |
 * | 8      | len   | le32 | word 2                                           |
 * | 12     | flags | le16 | low half of word 3, the *link*                   |
 * | 14     | next  | le16 | high half of word 3                              |
 *
 * flags and next travel in one 32-bit word, because one store is cheaper than two. A table of indirect descriptors
 * (§2.7.5.3) has the same form.
 */
import type { GuestAddress, GuestMemory } from "@toril/memory";
import { TWO_TO_32 } from "./numbers.ts";
import { DESCRIPTOR_TABLE_ALIGNMENT, descriptorTableBytes } from "./queue-layout.ts";
import { ringArea } from "./ring-area.ts";

/** The words of the descriptor table of a queue. */
export function descriptorWords(memory: GuestMemory, address: GuestAddress, size: number): Uint32Array {
  const bytes = descriptorTableBytes(size);
  const { buffer, byteOffset } = ringArea(memory, "descriptor table", address, bytes, DESCRIPTOR_TABLE_ALIGNMENT);
  return new Uint32Array(buffer, byteOffset, bytes / 4);
}

/** Joins flags and next to a link. */
export function descriptorLink(flags: number, next: number): number {
  return flags | (next << 16);
}

/** The `next` field of a link. */
export function linkNext(link: number): number {
  return link >>> 16;
}

/** Writes descriptor `index` of a table whose first word is `words[0]`. (`|` adds without a check for overflow.) */
export function writeDescriptor(
  words: Uint32Array,
  index: number,
  address: number,
  length: number,
  link: number,
): void {
  const at = index << 2;
  const low = address | 0;
  words[at] = low;
  // A small integer that is not negative has no high half; the test needs no floating-point number.
  words[at | 1] = low === address && low >= 0 ? 0 : address / TWO_TO_32;
  words[at | 2] = length;
  words[at | 3] = link;
}
