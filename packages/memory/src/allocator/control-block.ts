/**
 * The only part of a heap that other cores touch: the first bytes of its range, in guest memory.
 *
 *     offset 0   magic         says that a heap lies here
 *     offset 4   pages         how many it has
 *     offset 8   freed head    the list of blocks that other cores freed: the first one's link, or 0
 *
 * A link is the offset of a block from the heap's first page, in granules, plus one: 32 bits reach 64 GiB. The list is
 * threaded through the freed blocks themselves: the first word of each holds the link of the next. Anybody may push
 * (compare-exchange on the head), only the owner takes, and takes the whole list at once (exchange): a block is then
 * never unlinked while somebody pushes in front of it, so the ABA problem does not arise.
 */
import { alignUp, type GuestAddress } from "../guest-address.ts";
import type { MemoryRegion } from "../region.ts";
import { PAGE_SIZE } from "./size-classes.ts";

/** "HEAP", little-endian. */
export const MAGIC = 0x5041_4548;
export const MAGIC_WORD = 0;
export const PAGES_WORD = 1;
export const HEAD_WORD = 2;
export const CONTROL_BYTES = 16;
export const END_OF_LIST = 0;
export const LINK_BYTES = 4;

/** Where the pages of a heap start whose range starts at `base`. */
export function firstPageOf(base: GuestAddress): GuestAddress {
  return alignUp((base + CONTROL_BYTES) as GuestAddress, PAGE_SIZE);
}

/** Index in the region's 32-bit arrays. An address in a region is at most 2^53 - 1, so this is exact. */
export function wordIndex(region: MemoryRegion, address: number): number {
  return (address - region.base) / 4;
}
