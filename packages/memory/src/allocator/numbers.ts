/**
 * Numbers that the allocator's hot paths use. This file imports nothing, on purpose: the build writes the constants of
 * such a file straight into the code that uses them, while the engine loads and checks any other one each time.
 */

/** Who may free a block: whoever has its address, its DmaBuffer, or the arena that cuts it up. */
export const HELD_BY_ADDRESS = 0;
export const HELD_BY_DMA_BUFFER = 1;
export const HELD_BY_ARENA = 2;
export const HOLDER_BITS = 2;
export const HOLDER_MASK = 3;

/** What `find` says instead of a handle. */
export const NO_BLOCK_STARTS_HERE = -1;
export const NOT_IN_USE = -2;

/** What taking a block answers when there is no room for it. */
export const NO_ROOM = -1;

/** A handle: the first page of a slab or run, and below it the index in the slab, or WHOLE_RUN: more than any slab's. */
export const HANDLE_SHIFT = 9;
export const WHOLE_RUN = 511;

/** No slab, in lists of slabs; no block, in lists of blocks. */
export const NONE = -1;
export const END = 0x7fff_ffff;
