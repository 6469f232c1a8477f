/**
 * Whether a buffer lies in guest memory. Most lie in the same region as the one before, below 2 GiB: for these it is
 * two comparisons of small integers, and `| 0` is what tells the engine that they are some.
 */
import type { GuestMemory, MemoryRegion } from "@toril/memory";

const MAX_SMALL_INTEGER = 0x7fff_ffff;

export class RegionCache {
  readonly #memory: GuestMemory;
  /** The region that the last buffer was found in. */
  #region: MemoryRegion;
  /** The part of it that lies below 2 GiB; when there is none, the end is before the base. */
  #base = 0;
  #end = -1;

  constructor(memory: GuestMemory) {
    const [first] = memory.regions;
    if (first === undefined) throw new RangeError("a guest memory has at least one region");
    this.#memory = memory;
    this.#region = first;
    this.#remember(first);
  }

  /** Whether all of `length` bytes (not negative) at `address` lie in one region. */
  holds(address: number, length: number): boolean {
    const low = address | 0;
    // Neither side of the subtraction is negative, so it does not overflow.
    if (low === address && low >= this.#base && length <= ((this.#end - low) | 0)) return true;
    return this.#search(address, length);
  }

  /** The region that holds all of `length` bytes at `address`, if one does. */
  locate(address: number, length: number): MemoryRegion | undefined {
    return this.holds(address, length) ? this.#region : undefined;
  }

  #search(address: number, length: number): boolean {
    if (this.#region.holds(address, length)) return true;
    const region = this.#memory.locate(address, length);
    if (region === undefined) return false;
    this.#remember(region);
    return true;
  }

  #remember(region: MemoryRegion): void {
    const isLow = region.base < MAX_SMALL_INTEGER;
    this.#region = region;
    this.#base = isLow ? region.base : 0;
    this.#end = isLow ? Math.min(region.base + region.size, MAX_SMALL_INTEGER) : -1;
  }
}
