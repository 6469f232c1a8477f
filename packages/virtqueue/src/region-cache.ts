/** Whether a buffer lies in guest memory: two comparisons when it lies in the same region as the one before. */
import type { GuestMemory, MemoryRegion } from "@toril/memory";

export class RegionCache {
  readonly #memory: GuestMemory;
  #base = 0;
  #size = 0;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
    const [first] = memory.regions;
    if (first !== undefined) this.#remember(first);
  }

  /** Whether all of `length` bytes (an unsigned number) at `address` lie in one region. */
  holds(address: number, length: number): boolean {
    const offset = address - this.#base;
    if (offset >= 0 && length <= this.#size - offset) return true;
    return this.#search(address, length);
  }

  #search(address: number, length: number): boolean {
    const region = this.#memory.locate(address, length);
    if (region === undefined) return false;
    this.#remember(region);
    return true;
  }

  #remember(region: MemoryRegion): void {
    this.#base = region.base;
    this.#size = region.size;
  }
}
