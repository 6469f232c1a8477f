/** The simplest DmaAllocator: takes from a range front to back and never uses memory again. For tests only. */
import { addressAt, alignUp, type DmaAllocator, DmaBuffer, type GuestAddress, type GuestMemory } from "@toril/memory";

export class BumpAllocator implements DmaAllocator {
  readonly memory: GuestMemory;
  readonly #end: number;
  #next: GuestAddress;
  /** Buffers given out and not freed: 0 at the end of a test that leaks nothing. */
  live = 0;

  /** @param base where it starts; @param size its bytes, to the end of `memory` unless told. */
  constructor(memory: GuestMemory, base: GuestAddress, size: number = memory.size - base) {
    this.memory = memory;
    this.#next = base;
    this.#end = base + size;
  }

  allocateDma(length: number, alignment = 16): DmaBuffer | undefined {
    const address = alignUp(this.#next, alignment);
    if (address + length > this.#end) return undefined;
    this.#next = addressAt(address, length);
    this.live++;
    return new DmaBuffer(this.memory, address, length, () => {
      this.live--;
    });
  }
}
