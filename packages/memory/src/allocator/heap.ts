/**
 * One core's allocator over its own range of guest memory. Cores share no heap: nothing here is locked, and only the
 * thread that made a heap calls it. Another thread gives a block back through a RemoteHeap.
 *
 * What the heap knows of its blocks lies in host memory (blocks.ts), where no stray write reaches it; in guest memory
 * lies only the list of remote frees, and what is read from there is checked like any other address.
 */
import { type DmaAllocator, DmaBuffer } from "../dma-buffer.ts";
import type { GuestAddress } from "../guest-address.ts";
import type { GuestMemory } from "../guest-memory.ts";
import { Arena, type ArenaOptions } from "./arena.ts";
import { Blocks } from "./blocks.ts";
import { LINK_BYTES } from "./control-block.ts";
import { GUARD_BYTES, Guard } from "./guard.ts";
import { type HeapError, held, noBlock } from "./heap-error.ts";
import { type HeapOptions, heapRange } from "./heap-options.ts";
import { type HeapStats, heapStats } from "./heap-stats.ts";
import { IncomingFrees } from "./incoming-frees.ts";
import { HELD_BY_ADDRESS, HELD_BY_ARENA, HELD_BY_DMA_BUFFER, NO_ROOM } from "./numbers.ts";
import { checkRequest } from "./request.ts";
import { GRANULE, MAX_SMALL, PAGE_SIZE } from "./size-classes.ts";

export class Heap implements DmaAllocator {
  readonly memory: GuestMemory;
  readonly base: GuestAddress;
  readonly size: number = 0;
  readonly core: number | undefined;
  /** Address of the first page. */
  readonly #origin: GuestAddress;
  readonly #blocks: Blocks;
  readonly #incoming: IncomingFrees;
  readonly #guard: Guard | undefined;
  readonly #guardBytes: number = 0;
  readonly #name: string;
  readonly #freeDma: (buffer: DmaBuffer) => void = (buffer) => this.#release(buffer.address, HELD_BY_DMA_BUFFER);
  readonly #dropIncoming = (handle: number, offset: number): HeapError | undefined =>
    this.#drop(handle, offset, LINK_BYTES);
  #bytesInUse = 0;
  #peakBytesInUse = 0;
  #blocksInUse = 0;
  #allocations = 0;
  #failures = 0;

  /** @throws RangeError when the range is not in one region, has no room for a page, or is larger than 4 GiB. */
  constructor({ memory, base, size, core, guarded = "unguarded" }: HeapOptions) {
    const { region, origin, pages } = heapRange(memory, base, size);
    this.memory = memory;
    this.base = base;
    this.size = size;
    this.core = core;
    this.#origin = origin;
    this.#name = core === undefined ? `the heap at ${base}` : `the heap of core ${core}`;
    this.#blocks = new Blocks(pages, origin / PAGE_SIZE);
    this.#guardBytes = guarded === "guarded" ? GUARD_BYTES : 0;
    if (guarded === "guarded") this.#guard = new Guard(memory, region, origin, this.#blocks, this.#name);
    this.#incoming = new IncomingFrees(region, base, pages);
  }

  /**
   * A block of `length` bytes; `undefined` when there is no room for it. It holds whatever was there before.
   * @param alignment a power of two, in bytes; 16 unless told.
   * @throws RangeError when the length is no whole number from 0 up, or the alignment no power of two.
   * @throws HeapError guarded, when something wrote to the block while it was free.
   */
  allocate(length: number, alignment: number = GRANULE): GuestAddress | undefined {
    const offset = this.#take(length, alignment, HELD_BY_ADDRESS);
    return offset === NO_ROOM ? undefined : this.#at(offset);
  }

  /** The same, holding zeroes. */
  allocateZeroed(length: number, alignment: number = GRANULE): GuestAddress | undefined {
    const offset = this.#take(length, alignment, HELD_BY_ADDRESS);
    if (offset === NO_ROOM) return undefined;
    const address = this.#at(offset);
    this.memory.fill(address, length);
    return address;
  }

  /** A block that belongs to a DmaBuffer. It holds whatever was there before. Throws as `allocate` does. */
  allocateDma(length: number, alignment: number = GRANULE): DmaBuffer | undefined {
    const offset = this.#take(length, alignment, HELD_BY_DMA_BUFFER);
    if (offset === NO_ROOM) return undefined;
    return new DmaBuffer(this.memory, this.#at(offset), length, this.#freeDma);
  }

  /**
   * Takes a block back.
   * @throws HeapError when no block starts at the address, when it is free already, when a DmaBuffer or an arena holds
   * it, or, guarded, when something wrote beyond its end (it is freed all the same).
   */
  free(address: GuestAddress): void {
    this.#release(address, HELD_BY_ADDRESS);
  }

  /**
   * Makes a block longer or shorter, in place where that can be, and returns where it is now; `undefined` when there
   * is no room, and then the block stays as it was. Bytes that are new hold whatever was there before.
   * @param alignment of the block from now on.
   * @throws RangeError and HeapError as `allocate` and `free` do.
   */
  reallocate(address: GuestAddress, length: number, alignment: number = GRANULE): GuestAddress | undefined {
    checkRequest(length, alignment);
    const handle = this.#require(address, HELD_BY_ADDRESS);
    const damage = this.#guard?.inspect(handle, address - this.#origin);
    if (damage !== undefined) throw damage;
    const stays = address % alignment === 0;
    // Guarded, a block always moves: who still has the old address is found out.
    if (stays && this.#guard === undefined && this.#fitInPlace(handle, length)) return address;
    const before = this.#blocks.length(handle);
    const offset = this.#tryTake(length, alignment, HELD_BY_ADDRESS);
    if (offset !== NO_ROOM) {
      this.memory.copy(this.#at(offset), address, Math.min(before, length));
      this.#release(address, HELD_BY_ADDRESS);
      return this.#at(offset);
    }
    if (stays && length + this.#guardBytes <= this.#blocks.capacity(handle)) {
      this.#setLength(handle, length);
      this.#guard?.protect(handle, address - this.#origin);
      return address;
    }
    this.#failures++;
    return undefined;
  }

  /** Bytes that were asked for. @throws HeapError when no block in use starts at the address. */
  lengthOf(address: GuestAddress): number {
    const handle = this.#blocks.find(address - this.#origin);
    if (handle < 0) throw noBlock(this.#name, address, handle);
    return this.#blocks.length(handle);
  }

  /** Memory that is freed at once. It takes its first chunk when it is first used. */
  createArena(options?: ArenaOptions): Arena {
    return new Arena(
      {
        memory: this.memory,
        guardBytes: this.#guardBytes,
        take: (length, alignment) => {
          const offset = this.#take(length, alignment, HELD_BY_ARENA);
          return offset === NO_ROOM ? undefined : this.#at(offset);
        },
        give: (chunk) => this.#release(chunk, HELD_BY_ARENA),
        protect: (guard) => this.#guard?.protectAt(guard - this.#origin),
        inspect: (guard) => this.#guard?.inspectAt(guard - this.#origin),
      },
      options,
    );
  }

  /**
   * Takes in the blocks that other cores freed, and returns how many there were. A core does this when it is idle;
   * the heap itself does it before it takes fresh pages.
   * @throws HeapError for the first fault since the last call: another core freed a block twice, or one that a
   * DmaBuffer or an arena holds, or something wrote over the list (all that can be taken in is, before it throws).
   */
  collectRemoteFrees(): number {
    const count = this.#collect();
    this.#incoming.throwFault();
    return count;
  }

  /** Gives the empty slabs that are kept for the next allocation back to the free pages; returns how many. */
  trim(): number {
    return this.#blocks.slabs.trim();
  }

  /**
   * Guarded: looks at every canary and at all free memory.
   * @throws HeapError for the first damage found, and for faults of other cores.
   */
  check(): void {
    this.collectRemoteFrees();
    const damage = this.#guard?.inspectAll();
    if (damage !== undefined) throw damage;
  }

  stats(): HeapStats {
    return heapStats(this.#blocks, {
      bytesInUse: this.#bytesInUse,
      peakBytesInUse: this.#peakBytesInUse,
      blocksInUse: this.#blocksInUse,
      allocations: this.#allocations,
      failures: this.#failures,
      remoteFrees: this.#incoming.count,
      remoteFaults: this.#incoming.faults,
    });
  }

  #at(offset: number): GuestAddress {
    // Both are inside the region, whose addresses were checked when it was made.
    return (this.#origin + offset) as GuestAddress;
  }

  #take(length: number, alignment: number, holder: number): number {
    checkRequest(length, alignment);
    const offset = this.#tryTake(length, alignment, holder);
    if (offset === NO_ROOM) this.#failures++;
    return offset;
  }

  #tryTake(length: number, alignment: number, holder: number): number {
    const bytes = length + this.#guardBytes;
    const blocks = this.#blocks;
    let offset = NO_ROOM;
    if (blocks.isSmall(bytes, alignment)) offset = blocks.takeSmall(bytes, alignment, length, holder);
    if (offset === NO_ROOM) {
      offset = this.#takeFresh(bytes, alignment, length, holder);
      if (offset === NO_ROOM) return NO_ROOM;
    }
    this.#allocations++;
    this.#blocksInUse++;
    this.#bytesInUse += length;
    if (this.#bytesInUse > this.#peakBytesInUse) this.#peakBytesInUse = this.#bytesInUse;
    if (this.#guard !== undefined) this.#check(this.#guard, offset);
    return offset;
  }

  /** No slab has room, or the block is large: what others freed first, then fresh pages, then those of empty slabs. */
  #takeFresh(bytes: number, alignment: number, length: number, holder: number): number {
    const { slabs } = this.#blocks;
    if (this.#collect() > 0 && this.#blocks.isSmall(bytes, alignment)) {
      const offset = this.#blocks.takeSmall(bytes, alignment, length, holder);
      if (offset !== NO_ROOM) return offset;
    }
    const offset = this.#takePages(bytes, alignment, length, holder);
    if (offset !== NO_ROOM || slabs.trim() === 0) return offset;
    return this.#takePages(bytes, alignment, length, holder);
  }

  #takePages(bytes: number, alignment: number, length: number, holder: number): number {
    if (this.#blocks.isSmall(bytes, alignment)) {
      const offset = this.#blocks.takeSmallFromNewSlab(bytes, alignment, length, holder);
      if (offset !== NO_ROOM) return offset;
    }
    // Where no run is long enough for a slab, one may still be long enough for the block alone.
    return this.#blocks.takeLarge(bytes, alignment, length, holder);
  }

  #require(address: GuestAddress, holder: number): number {
    const handle = this.#blocks.find(address - this.#origin);
    if (handle < 0) throw noBlock(this.#name, address, handle);
    if (this.#blocks.holder(handle) !== holder) throw held(address, this.#blocks.holder(handle));
    return handle;
  }

  #release(address: GuestAddress, holder: number): void {
    const damage = this.#drop(this.#require(address, holder), address - this.#origin);
    if (damage !== undefined) throw damage;
  }

  /** Frees a block whose first `linkBytes` another core wrote; the damage behind it, when there is some. */
  #drop(handle: number, offset: number, linkBytes = 0): HeapError | undefined {
    const damage = this.#guard?.inspect(handle, offset, linkBytes);
    this.#guard?.paintFreed(handle, offset);
    this.#blocksInUse--;
    this.#bytesInUse -= this.#blocks.length(handle);
    this.#blocks.free(handle);
    return damage;
  }

  #collect(): number {
    if (this.#incoming.isEmpty()) return 0;
    return this.#incoming.take(this.#blocks, this.#blocksInUse, this.#name, this.#dropIncoming);
  }

  #setLength(handle: number, length: number): void {
    this.#bytesInUse += length - this.#blocks.length(handle);
    if (this.#bytesInUse > this.#peakBytesInUse) this.#peakBytesInUse = this.#bytesInUse;
    this.#blocks.setLength(handle, length);
  }

  /** Changes a block's length where it is, unless it would then hold more than twice what it needs. */
  #fitInPlace(handle: number, length: number): boolean {
    if (this.#blocks.isLarge(handle)) {
      if (length <= MAX_SMALL / 2 || this.#blocks.resizeLarge(handle, length) === "unavailable") return false;
    } else {
      const capacity = this.#blocks.capacity(handle);
      if (length > capacity || (length * 2 <= capacity && capacity > GRANULE)) return false;
    }
    this.#setLength(handle, length);
    return true;
  }

  /** Looks whether a fresh block was written to while it was free, and sets its canaries. */
  #check(guard: Guard, offset: number): void {
    const handle = this.#blocks.find(offset);
    const damage = guard.inspectFreed(offset, this.#blocks.capacity(handle));
    guard.protect(handle, offset);
    if (damage === undefined) return;
    this.#drop(handle, offset);
    throw damage;
  }
}
