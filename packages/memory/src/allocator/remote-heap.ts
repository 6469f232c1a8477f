/**
 * Another core's heap, to give its blocks back. Each thread makes its own handle over the shared guest memory; none
 * of them waits for another, and the owner sees the blocks when it next collects.
 */
import { addressAt, type GuestAddress } from "../guest-address.ts";
import type { GuestMemory } from "../guest-memory.ts";
import type { MemoryRegion } from "../region.ts";
import { CONTROL_BYTES, firstPageOf, HEAD_WORD, MAGIC, MAGIC_WORD, PAGES_WORD, wordIndex } from "./control-block.ts";
import { HeapError } from "./heap-error.ts";
import { GRANULE, PAGE_SIZE } from "./size-classes.ts";

/** How to reach a heap from another thread. */
export interface RemoteHeapOptions {
  readonly memory: GuestMemory;
  /** The `base` that the heap was made with. */
  readonly base: GuestAddress;
}

export class RemoteHeap {
  readonly base: GuestAddress;
  readonly #region: MemoryRegion;
  readonly #origin: GuestAddress;
  readonly #bytes: number;
  readonly #head: number;

  /** @throws RangeError when no heap lies at `base`. */
  constructor({ memory, base }: RemoteHeapOptions) {
    const region = memory.locate(base, CONTROL_BYTES);
    const control = region === undefined ? 0 : wordIndex(region, base);
    if (
      region === undefined ||
      !Number.isInteger(control) ||
      Atomics.load(region.u32, control + MAGIC_WORD) !== MAGIC
    ) {
      throw new RangeError(`no heap lies at guest address ${base}: give the base of one that its core has made`);
    }
    this.base = base;
    this.#region = region;
    this.#origin = firstPageOf(base);
    this.#bytes = Atomics.load(region.u32, control + PAGES_WORD) * PAGE_SIZE;
    this.#head = control + HEAD_WORD;
    if (!region.holds(this.#origin, this.#bytes)) {
      throw new RangeError(`the heap at guest address ${base} claims ${this.#bytes} bytes, which its region has not`);
    }
  }

  /** Whether an address lies among the heap's blocks. */
  covers(address: GuestAddress): boolean {
    return address >= this.#origin && address < addressAt(this.#origin, this.#bytes);
  }

  /**
   * Sends a block home. Only its owner can tell whether it was in use: a block freed twice, or one that a DmaBuffer
   * or an arena holds, shows as a fault there (see Heap.collectRemoteFrees).
   * @throws HeapError when no block of that heap can start at the address.
   */
  free(address: GuestAddress): void {
    const offset = address - this.#origin;
    if (!(offset >= 0 && offset < this.#bytes && offset % GRANULE === 0)) {
      const what = `guest address ${address} cannot be a block of the heap at ${this.base}`;
      throw new HeapError("ERR_HEAP_FOREIGN", address, what, "free it on the heap that allocated it");
    }
    const { u32 } = this.#region;
    const link = offset / GRANULE + 1;
    const block = wordIndex(this.#region, address);
    let head = Atomics.load(u32, this.#head);
    for (;;) {
      Atomics.store(u32, block, head);
      const seen = Atomics.compareExchange(u32, this.#head, head, link);
      if (seen === head) return;
      head = seen;
    }
  }
}
