/** What can be wrong with how a heap is used. Each is the caller's bug, so each throws; to run out of memory is none. */
import type { GuestAddress } from "../guest-address.ts";
import { HELD_BY_ADDRESS, HELD_BY_DMA_BUFFER, NOT_IN_USE } from "./numbers.ts";

/**
 * | code                      | meaning                                                                          |
 * |---------------------------|----------------------------------------------------------------------------------|
 * | `ERR_HEAP_FOREIGN`        | the address is not the start of a block of this heap                             |
 * | `ERR_HEAP_DOUBLE_FREE`    | no block is in use at the address: it was freed already, or never given out      |
 * | `ERR_HEAP_OVERRUN`        | guarded: the bytes behind a block were changed                                   |
 * | `ERR_HEAP_USE_AFTER_FREE` | guarded: the bytes of a free block were changed                                  |
 * | `ERR_HEAP_HELD`           | the block belongs to a DMA buffer or an arena, which alone may free it           |
 * | `ERR_HEAP_LENT`           | an arena cannot go: a device still has one of its buffers                        |
 * | `ERR_HEAP_ARENA_FREED`    | the arena was freed                                                              |
 */
export type HeapErrorCode =
  | "ERR_HEAP_FOREIGN"
  | "ERR_HEAP_DOUBLE_FREE"
  | "ERR_HEAP_OVERRUN"
  | "ERR_HEAP_USE_AFTER_FREE"
  | "ERR_HEAP_HELD"
  | "ERR_HEAP_LENT"
  | "ERR_HEAP_ARENA_FREED";

/** A misuse of a heap: which one, at which guest address, and what to do about it. */
export class HeapError extends Error {
  override readonly name = "HeapError";
  readonly code: HeapErrorCode;
  /** The guest address that the caller gave, or at which the damage was found. */
  readonly address: GuestAddress;
  readonly remedy: string;

  constructor(code: HeapErrorCode, address: GuestAddress, what: string, remedy: string) {
    super(`${what}; ${remedy}`);
    this.code = code;
    this.address = address;
    this.remedy = remedy;
  }
}

/** No block in use starts at an address; `found` is what Blocks.find said. */
export function noBlock(heap: string, address: GuestAddress, found: number): HeapError {
  if (found === NOT_IN_USE) {
    const what = `no block of ${heap} is in use at guest address ${address}: it was freed already, or never given out`;
    return new HeapError("ERR_HEAP_DOUBLE_FREE", address, what, "free each block once");
  }
  const what = `no block of ${heap} starts at guest address ${address}`;
  return new HeapError(
    "ERR_HEAP_FOREIGN",
    address,
    what,
    "give the address that allocate returned, to the heap that returned it",
  );
}

/** Somebody else may free the block. */
export function held(address: GuestAddress, holder: number): HeapError {
  if (holder === HELD_BY_ADDRESS) {
    const what = `the block at guest address ${address} belongs to nobody who could free it this way`;
    return new HeapError("ERR_HEAP_HELD", address, what, "free it by its address");
  }
  const owner = holder === HELD_BY_DMA_BUFFER ? "DmaBuffer" : "arena";
  const what = `the block at guest address ${address} belongs to ${owner === "arena" ? "an" : "a"} ${owner}`;
  return new HeapError("ERR_HEAP_HELD", address, what, `free the ${owner} instead`);
}

/** The canaries behind a block were changed. */
export function damaged(heap: string, at: number, end: number): HeapError {
  const what = `in ${heap} a byte was written at guest address ${at}, behind the block that ends at ${end}`;
  const remedy = "look for a write beyond the end of that block, or before the start of the next one";
  return new HeapError("ERR_HEAP_OVERRUN", at as GuestAddress, what, remedy);
}

/** Free memory was changed. */
export function lateWrite(heap: string, at: number): HeapError {
  const what = `in ${heap} a byte was written at guest address ${at}, which is free`;
  return new HeapError(
    "ERR_HEAP_USE_AFTER_FREE",
    at as GuestAddress,
    what,
    "look for a block that is used after it was freed",
  );
}

/** The list of remote frees runs in a circle. */
export function brokenList(heap: string, address: GuestAddress): HeapError {
  const what = `the list of blocks that other cores freed to ${heap} comes back to guest address ${address}`;
  return new HeapError(
    "ERR_HEAP_DOUBLE_FREE",
    address,
    what,
    "free each block once, and do not write to it afterwards",
  );
}
