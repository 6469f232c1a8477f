/**
 * Reads one descriptor chain out of guest memory into a `SplitChain`: the place where a device meets what a driver
 * wrote. Each descriptor field is read once, checked, then kept; nothing is taken on trust, and every walk is bounded.
 *
 * A chain is zero or more direct descriptors, the last of which may refer to one indirect table (§2.7.5.3.2).
 */
import { addressFromHalves, type GuestMemory, type MemoryRegion } from "@toril/memory";
import type { SplitChain } from "./chain.ts";
import {
  indirectBadTable,
  indirectNested,
  indirectNotNegotiated,
  indirectWithNext,
  loop,
  nextOutOfRange,
  outOfRange,
  over4GiB,
  readableAfterWritable,
  tooLong,
} from "./chain-violation.ts";
import { descriptorWords, linkNext } from "./descriptor-table.ts";
import {
  DESCRIPTOR_GOES_ON,
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_SIZE,
  DESCRIPTOR_WRITE,
  MAX_CHAIN_BYTES,
  MAX_TABLE_DESCRIPTORS,
  TWO_TO_32,
} from "./numbers.ts";
import type { QueueLayout } from "./queue-layout.ts";
import { RegionCache } from "./region-cache.ts";
import type { QueueViolation } from "./violation.ts";

export class ChainReader {
  readonly #size: number = 0;
  readonly #table: Uint32Array;
  readonly #indirect: "negotiated" | "refused";
  readonly #regions: RegionCache;

  // The indirect table that is being walked.
  #tableWords: Uint32Array;
  /** Where its first word is. */
  #tableBase = 0;
  #tableEntries = 0;
  /** Its region and its offset there, when it is not aligned to 4: §2.7.5.3 asks for no alignment. */
  #unaligned: MemoryRegion | undefined;
  #unalignedOffset = 0;
  /** One descriptor of such a table, copied here byte by byte. */
  readonly #copiedBytes: Uint8Array = new Uint8Array(DESCRIPTOR_SIZE);
  readonly #copiedWords: Uint32Array = new Uint32Array(this.#copiedBytes.buffer);

  constructor(memory: GuestMemory, layout: QueueLayout, indirect: "negotiated" | "refused") {
    this.#size = layout.size;
    this.#table = descriptorWords(memory, layout.descriptorTable, layout.size);
    this.#tableWords = this.#table;
    this.#indirect = indirect;
    this.#regions = new RegionCache(memory);
  }

  /**
   * Fills `chain` with the chain at `head` (less than the queue size), if that is one direct buffer below 4 GiB, as most
   * are; otherwise false, and nothing is known of it: `read` looks anew.
   */
  readSingle(head: number, chain: SplitChain): boolean {
    const table = this.#table;
    const at = head << 2;
    const low = table[at] ?? 0;
    const high = table[at | 1] ?? 0;
    const length = table[at | 2] ?? 0;
    const link = table[at | 3] ?? 0;
    if ((link & DESCRIPTOR_GOES_ON) !== 0 || high !== 0 || !this.#regions.holds(low, length)) return false;
    chain.setSingle(head, low, length, (link & DESCRIPTOR_WRITE) === 0 ? 1 : 0);
    return true;
  }

  /**
   * Fills `chain` with the chain at `head` (less than the queue size): through the direct table, then at most one other.
   * Returns what is wrong with it, if anything.
   */
  read(head: number, chain: SplitChain): QueueViolation | undefined {
    const size = this.#size;
    const regions = this.#regions;
    // The table that is walked: its words, where the first one is, its length, how many of it have been visited.
    let words = this.#table;
    let base = 0;
    let entries = size;
    let visited = 1;
    let inIndirect = false;
    // The descriptor at hand, then the chain so far.
    const first = head << 2;
    let low = words[first] ?? 0;
    let high = words[first | 1] ?? 0;
    let length = words[first | 2] ?? 0;
    let link = words[first | 3] ?? 0;
    let count = 0;
    let readableCount = 0;
    let readableBytes = 0;
    let writableBytes = 0;
    for (;;) {
      let index = 0;
      if ((link & DESCRIPTOR_INDIRECT) !== 0) {
        if (inIndirect) return indirectNested(head);
        const problem = this.#openTable(head, low, high, length, link);
        if (problem !== undefined) return problem;
        inIndirect = true;
        words = this.#tableWords;
        base = this.#tableBase;
        entries = this.#tableEntries;
        visited = 0;
      } else {
        if (count >= size) return tooLong(head, size);
        const address = high === 0 ? low : addressFromHalves(low, high);
        if (address === undefined || !regions.holds(address, length)) return outOfRange(head, low, high, length);
        if ((link & DESCRIPTOR_WRITE) !== 0) {
          writableBytes += length;
        } else {
          if (count !== readableCount) return readableAfterWritable(head);
          readableCount++;
          readableBytes += length;
        }
        chain.set(count, address, length);
        count++;
        if ((link & DESCRIPTOR_NEXT) === 0) break;
        index = linkNext(link);
        if (index >= entries) return nextOutOfRange(head, index, entries);
        if (visited >= entries) return loop(head, entries);
      }
      visited++;
      if (inIndirect && this.#unaligned !== undefined) this.#copyUnaligned(this.#unaligned, index);
      const at = words === this.#copiedWords ? 0 : base + (index << 2);
      low = words[at] ?? 0;
      high = words[at + 1] ?? 0;
      length = words[at + 2] ?? 0;
      link = words[at + 3] ?? 0;
    }
    if (readableBytes + writableBytes > MAX_CHAIN_BYTES) return over4GiB(head);
    chain.finish(head, count, readableCount, readableBytes, writableBytes);
    return undefined;
  }

  /** Checks a reference to an indirect table, and gets ready to walk it. (§2.7.5.3.2: its WRITE flag is ignored.) */
  #openTable(head: number, low: number, high: number, length: number, link: number): QueueViolation | undefined {
    if (this.#indirect === "refused") return indirectNotNegotiated(head);
    if ((link & DESCRIPTOR_NEXT) !== 0) return indirectWithNext(head);
    // Shifts and masks: `%` and `/` would make doubles of these, at several nanoseconds each.
    const entries = length >>> 4;
    if (length === 0 || (length & 15) !== 0 || entries > MAX_TABLE_DESCRIPTORS) {
      return indirectBadTable(head, length);
    }
    const address = high === 0 ? low : addressFromHalves(low, high);
    const region = address === undefined ? undefined : this.#regions.locate(address, length);
    if (address === undefined || region === undefined) return outOfRange(head, low, high, length);
    const offset = address - region.base;
    this.#tableEntries = entries;
    if ((offset & 3) === 0) {
      this.#unaligned = undefined;
      this.#tableWords = region.u32;
      this.#tableBase = offset < TWO_TO_32 ? offset >>> 2 : offset / 4;
    } else {
      this.#unaligned = region;
      this.#unalignedOffset = offset;
      this.#tableWords = this.#copiedWords;
      this.#tableBase = 0;
    }
    return undefined;
  }

  #copyUnaligned(region: MemoryRegion, index: number): void {
    const offset = this.#unalignedOffset + index * DESCRIPTOR_SIZE;
    for (let i = 0; i < DESCRIPTOR_SIZE; i++) this.#copiedBytes[i] = region.u8[offset + i] ?? 0;
  }
}
