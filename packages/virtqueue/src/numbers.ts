/**
 * The numbers of the split ring (virtio 1.3 §2.7) that the hot paths use. This file imports nothing, on purpose: the
 * build writes the constants of such a file straight into the code that uses them, while the engine loads and checks
 * any other one each time.
 */

/** VIRTQ_DESC_F_NEXT: the chain goes on at `next`. */
export const DESCRIPTOR_NEXT = 1;
/** VIRTQ_DESC_F_WRITE: for the device to write; otherwise to read. */
export const DESCRIPTOR_WRITE = 2;
/** VIRTQ_DESC_F_INDIRECT: the buffer is a table of descriptors. */
export const DESCRIPTOR_INDIRECT = 4;
/** NEXT or INDIRECT: this descriptor is not all of its chain. */
export const DESCRIPTOR_GOES_ON = 5;
export const DESCRIPTOR_SIZE = 16;

/** Bit 0 of flags, in both rings: do not notify (without EVENT_IDX). */
export const DO_NOT_NOTIFY = 1;

/** Ring indices are free-running 16-bit numbers. */
export const INDEX_MASK = 0xffff;

/** len is an le32, in descriptors and in used elements. */
export const MAX_LENGTH = 0xffff_ffff;
/** §2.7.5.2: "MUST NOT add a descriptor chain longer than 2^32 bytes in total". */
export const MAX_CHAIN_BYTES = 0x1_0000_0000;
/** `next` has 16 bits: no table can use more descriptors than this. */
export const MAX_TABLE_DESCRIPTORS = 0x1_0000;
export const TWO_TO_32 = 0x1_0000_0000;
