/** The owner's end of the list of blocks that other cores freed; see control-block.ts for its shape. */
import type { GuestAddress } from "../guest-address.ts";
import type { MemoryRegion } from "../region.ts";
import type { Blocks } from "./blocks.ts";
import { END_OF_LIST, firstPageOf, HEAD_WORD, MAGIC, MAGIC_WORD, PAGES_WORD, wordIndex } from "./control-block.ts";
import { brokenList, type HeapError, held, noBlock } from "./heap-error.ts";
import { HELD_BY_ADDRESS } from "./numbers.ts";
import { GRANULE } from "./size-classes.ts";

export class IncomingFrees {
  readonly #region: MemoryRegion;
  readonly #origin: GuestAddress;
  readonly #head: number;
  /** The first fault that nobody was told of. */
  #fault: HeapError | undefined;
  count = 0;
  faults = 0;

  /** Writes the control block: from here on other cores find the heap. */
  constructor(region: MemoryRegion, base: GuestAddress, pages: number) {
    const control = wordIndex(region, base);
    this.#region = region;
    this.#origin = firstPageOf(base);
    this.#head = control + HEAD_WORD;
    Atomics.store(region.u32, this.#head, END_OF_LIST);
    Atomics.store(region.u32, control + PAGES_WORD, pages);
    Atomics.store(region.u32, control + MAGIC_WORD, MAGIC);
  }

  isEmpty(): boolean {
    return Atomics.load(this.#region.u32, this.#head) === END_OF_LIST;
  }

  /**
   * Takes the whole list and hands each block to `drop`. The links lie where anybody may write, so each is looked up
   * like an address from outside. A list has no more blocks than are in use: this ends even when it runs in a circle.
   */
  take(
    blocks: Blocks,
    blocksInUse: number,
    heapName: string,
    drop: (handle: number, offset: number) => HeapError | undefined,
  ): number {
    const { u32 } = this.#region;
    let taken = 0;
    let link = Atomics.exchange(u32, this.#head, END_OF_LIST);
    for (let left = blocksInUse; link !== END_OF_LIST; left--) {
      const offset = (link - 1) * GRANULE;
      const address = (this.#origin + offset) as GuestAddress;
      const handle = blocks.find(offset);
      if (handle < 0 || left === 0) {
        // Behind a block that is not in use, its link cannot be believed.
        this.#note(handle < 0 ? noBlock(heapName, address, handle) : brokenList(heapName, address));
        break;
      }
      link = Atomics.load(u32, wordIndex(this.#region, address));
      if (blocks.holder(handle) !== HELD_BY_ADDRESS) {
        this.#note(held(address, blocks.holder(handle)));
        continue;
      }
      const damage = drop(handle, offset);
      if (damage !== undefined) this.#note(damage);
      taken++;
    }
    this.count += taken;
    return taken;
  }

  /** @throws HeapError for the first fault since the last call. */
  throwFault(): void {
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault !== undefined) throw fault;
  }

  #note(fault: HeapError): void {
    this.faults++;
    this.#fault ??= fault;
  }
}
