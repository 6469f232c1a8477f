/**
 * Guarded mode: what shows that somebody wrote where they should not. Every byte of free memory holds FREED; the bytes
 * between the end of a block's length and the end of its block hold CANARY, at least GUARD_BYTES of them. Both are
 * looked at when blocks change hands, so that the cost of a call grows with the size of its block.
 */
import type { GuestAddress } from "../guest-address.ts";
import type { GuestMemory } from "../guest-memory.ts";
import type { MemoryRegion } from "../region.ts";
import type { Blocks } from "./blocks.ts";
import { damaged, type HeapError, lateWrite } from "./heap-error.ts";

/** A block is this much longer than asked for: a stray write rarely skips so many bytes. */
export const GUARD_BYTES = 16;

const CANARY = 0xc5;
const FREED = 0xdd;
const FREED_WORD = 0xdddd_dddd;

export class Guard {
  readonly #memory: GuestMemory;
  readonly #region: MemoryRegion;
  /** Distance from an offset in the heap to one in the region's byte array. */
  readonly #shift: number;
  readonly #blocks: Blocks;
  readonly #heap: string;

  /** Paints all of a heap's free memory. `heap` names it in errors. */
  constructor(memory: GuestMemory, region: MemoryRegion, origin: GuestAddress, blocks: Blocks, heap: string) {
    this.#memory = memory;
    this.#region = region;
    this.#shift = origin - region.base;
    this.#blocks = blocks;
    this.#heap = heap;
    this.#paint(0, blocks.bytes, FREED);
  }

  /** Sets the canaries behind a block. */
  protect(handle: number, offset: number): void {
    this.#paint(offset + this.#blocks.length(handle), offset + this.#blocks.capacity(handle), CANARY);
  }

  /** The damage behind a block, when there is some. The first `skipped` bytes of the block are not looked at. */
  inspect(handle: number, offset: number, skipped = 0): HeapError | undefined {
    const end = offset + Math.max(skipped, this.#blocks.length(handle));
    return this.#findDamage(end, offset + this.#blocks.capacity(handle));
  }

  /** The same for one guard in the middle of an arena's chunk. */
  protectAt(offset: number): void {
    this.#paint(offset, offset + GUARD_BYTES, CANARY);
  }

  inspectAt(offset: number): HeapError | undefined {
    return this.#findDamage(offset, offset + GUARD_BYTES);
  }

  /** Marks a block's memory as free. */
  paintFreed(handle: number, offset: number): void {
    this.#paint(offset, offset + this.#blocks.capacity(handle), FREED);
  }

  /** The damage in free memory, when there is some; both numbers are multiples of 4. */
  inspectFreed(offset: number, bytes: number): HeapError | undefined {
    const { u8, u32 } = this.#region;
    const start = this.#shift + offset;
    for (let word = start / 4; word < (start + bytes) / 4; word++) {
      if (u32[word] === FREED_WORD) continue;
      let at = word * 4;
      while (u8[at] === FREED) at++;
      return lateWrite(this.#heap, at + this.#region.base);
    }
    return undefined;
  }

  /** Looks at every canary and at all free memory. */
  inspectAll(): HeapError | undefined {
    let damage: HeapError | undefined;
    this.#blocks.forEach((offset, handle) => {
      damage ??= handle < 0 ? this.inspectFreed(offset, -handle) : this.inspect(handle, offset);
    });
    return damage;
  }

  #paint(start: number, end: number, value: number): void {
    const address = (this.#region.base + this.#shift + start) as GuestAddress;
    this.#memory.fill(address, end - start, value);
  }

  #findDamage(start: number, stop: number): HeapError | undefined {
    const { u8, base } = this.#region;
    const end = this.#shift + stop;
    for (let at = this.#shift + start; at < end; at++) {
      if (u8[at] !== CANARY) return damaged(this.#heap, at + base, base + this.#shift + start);
    }
    return undefined;
  }
}
