/**
 * Guarded mode: what shows that somebody wrote where they should not. Every byte of free memory holds FREED; the bytes
 * between the end of a block's length and the end of its block hold CANARY, at least GUARD_BYTES of them. Both are
 * looked at when blocks change hands, so that the cost of a call grows with the size of its block.
 */
import type { MemoryRegion } from "../region.ts";
import type { Blocks } from "./blocks.ts";
import { damaged, type HeapError, lateWrite } from "./heap-error.ts";

/** A block is this much longer than asked for: a stray write rarely skips so many bytes. */
export const GUARD_BYTES = 16;

const CANARY = 0xc5;
const FREED = 0xdd;
const FREED_WORD = 0xdddd_dddd;

export class Guard {
  readonly #region: MemoryRegion;
  /** Distance from an offset in the heap to one in the region's byte array. */
  readonly #shift: number;
  readonly #blocks: Blocks;
  readonly #heap: string;

  /** Paints all of a heap's free memory. `heap` names it in errors. */
  constructor(region: MemoryRegion, shift: number, blocks: Blocks, heap: string) {
    this.#region = region;
    this.#shift = shift;
    this.#blocks = blocks;
    this.#heap = heap;
    region.u8.fill(FREED, shift, shift + blocks.bytes);
  }

  /** Sets the canaries behind a block. */
  protect(handle: number, offset: number): void {
    const at = this.#shift + offset;
    this.#region.u8.fill(CANARY, at + this.#blocks.length(handle), at + this.#blocks.capacity(handle));
  }

  /** The damage behind a block, when there is some. */
  inspect(handle: number, offset: number): HeapError | undefined {
    const end = offset + this.#blocks.length(handle);
    return this.#findDamage(end, offset + this.#blocks.capacity(handle));
  }

  /** The same for one guard in the middle of an arena's chunk. */
  protectAt(offset: number): void {
    const at = this.#shift + offset;
    this.#region.u8.fill(CANARY, at, at + GUARD_BYTES);
  }

  inspectAt(offset: number): HeapError | undefined {
    return this.#findDamage(offset, offset + GUARD_BYTES);
  }

  /** Marks a block's memory as free. */
  paintFreed(handle: number, offset: number): void {
    const at = this.#shift + offset;
    this.#region.u8.fill(FREED, at, at + this.#blocks.capacity(handle));
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

  #findDamage(start: number, stop: number): HeapError | undefined {
    const { u8, base } = this.#region;
    const end = this.#shift + stop;
    for (let at = this.#shift + start; at < end; at++) {
      if (u8[at] !== CANARY) return damaged(this.#heap, at + base, base + this.#shift + start);
    }
    return undefined;
  }
}
