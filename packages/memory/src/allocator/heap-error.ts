/** What can be wrong with how a heap is used. Each is the caller's bug, so each throws; to run out of memory is none. */
import type { GuestAddress } from "../guest-address.ts";

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
