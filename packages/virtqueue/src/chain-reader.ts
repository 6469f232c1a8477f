/**
 * Reads one descriptor chain out of guest memory into a `SplitChain`: the place where a device meets what a driver
 * wrote. Each descriptor field is read once, checked, then kept; nothing is taken on trust, and every walk is bounded.
 *
 * A chain is zero or more direct descriptors, the last of which may refer to one indirect table (§2.7.5.3.2).
 */
import { addressFromHalves, type GuestAddress, type GuestMemory, type MemoryRegion } from "@toril/memory";
import type { SplitChain } from "./chain.ts";
import {
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
  descriptorWords,
  linkNext,
} from "./descriptor-table.ts";
import { DESCRIPTOR_SIZE, type QueueLayout } from "./queue-layout.ts";
import { RegionCache } from "./region-cache.ts";
import { type QueueViolation, violation } from "./violation.ts";

/** §2.7.5.2: "Drivers MUST NOT add a descriptor chain longer than 2^32 bytes in total". */
const MAX_CHAIN_BYTES = 0x1_0000_0000;

/** `next` has 16 bits: no table can use more descriptors than this. */
const MAX_TABLE_DESCRIPTORS = 0x1_0000;

const MORE_TO_READ = DESCRIPTOR_NEXT | DESCRIPTOR_INDIRECT;

export class ChainReader {
  readonly #memory: GuestMemory;
  readonly #size: number;
  readonly #table: Uint32Array;
  readonly #indirect: "negotiated" | "refused";
  readonly #regions: RegionCache;
  /** One descriptor of a table that is not aligned to 4, copied here byte by byte: §2.7.5.3 asks for no alignment. */
  readonly #unalignedBytes: Uint8Array = new Uint8Array(DESCRIPTOR_SIZE);
  readonly #unaligned: Uint32Array = new Uint32Array(this.#unalignedBytes.buffer);

  constructor(memory: GuestMemory, layout: QueueLayout, indirect: "negotiated" | "refused") {
    this.#memory = memory;
    this.#size = layout.size;
    this.#table = descriptorWords(memory, layout.descriptorTable, layout.size);
    this.#indirect = indirect;
    this.#regions = new RegionCache(memory);
  }

  /** Fills `chain` with the chain at `head` (less than the queue size); returns what is wrong with it, if anything. */
  read(head: number, chain: SplitChain): QueueViolation | undefined {
    const table = this.#table;
    const at = head << 2;
    const low = table[at] ?? 0;
    const high = table[at | 1] ?? 0;
    const length = table[at | 2] ?? 0;
    const link = table[at | 3] ?? 0;
    // Most chains are one direct buffer below 4 GiB.
    if ((link & MORE_TO_READ) === 0 && high === 0 && this.#regions.holds(low, length)) {
      chain.fillWithOne(head, low, length, link & DESCRIPTOR_WRITE);
      return undefined;
    }
    chain.begin(head);
    return this.#walk(chain, low, high, length, link);
  }

  /** Goes on from the first descriptor, whose words have been read. */
  #walk(chain: SplitChain, low: number, high: number, length: number, link: number): QueueViolation | undefined {
    if ((link & DESCRIPTOR_INDIRECT) !== 0) return this.#readIndirect(chain, low, high, length, link);
    const problem = this.#append(chain, low, high, length, link);
    if (problem !== undefined) return problem;
    const table = this.#table;
    let last = link;
    while ((last & DESCRIPTOR_NEXT) !== 0) {
      const index = linkNext(last);
      if (index >= this.#size) return nextOutOfRange(chain.head, index, this.#size);
      // §2.7.5.2: "loops in the descriptor chain are forbidden". One more descriptor than the table has is a loop.
      if (chain.count >= this.#size) return loop(chain.head, this.#size);
      const at = index << 2;
      const nextLow = table[at] ?? 0;
      const nextHigh = table[at | 1] ?? 0;
      const nextLength = table[at | 2] ?? 0;
      last = table[at | 3] ?? 0;
      if ((last & DESCRIPTOR_INDIRECT) !== 0) {
        return this.#readIndirect(chain, nextLow, nextHigh, nextLength, last);
      }
      const nextProblem = this.#append(chain, nextLow, nextHigh, nextLength, last);
      if (nextProblem !== undefined) return nextProblem;
    }
    return undefined;
  }

  #readIndirect(
    chain: SplitChain,
    low: number,
    high: number,
    length: number,
    link: number,
  ): QueueViolation | undefined {
    const { head } = chain;
    if (this.#indirect === "refused") {
      // §2.7.5.3.1: "MUST NOT set the VIRTQ_DESC_F_INDIRECT flag unless the VIRTIO_F_INDIRECT_DESC feature was negotiated".
      const message = `chain ${head} has an indirect table, which was not negotiated`;
      return violation("indirect-not-negotiated", "2.7.5.3.1", message);
    }
    if ((link & DESCRIPTOR_NEXT) !== 0) {
      // §2.7.5.3.1: "MUST NOT set both VIRTQ_DESC_F_INDIRECT and VIRTQ_DESC_F_NEXT in flags".
      return violation("indirect-with-next", "2.7.5.3.1", `chain ${head} goes on after its indirect table`);
    }
    // §2.7.5.3: the table is "desc[len / 16]". (§2.7.5.3.2: the WRITE flag of this descriptor is ignored.)
    const entries = length / DESCRIPTOR_SIZE;
    if (length === 0 || length % DESCRIPTOR_SIZE !== 0 || entries > MAX_TABLE_DESCRIPTORS) {
      const message = `chain ${head} has an indirect table of ${length} bytes: it must be 1 to 65,536 times 16`;
      return violation("indirect-bad-table", "2.7.5.3", message);
    }
    const address = addressFromHalves(low, high);
    const region = address === undefined ? undefined : this.#memory.locate(address, length);
    if (address === undefined || region === undefined) return this.#outOfRange(head, low, high, length);
    return this.#readTable(chain, region, address, entries);
  }

  #readTable(
    chain: SplitChain,
    region: MemoryRegion,
    address: GuestAddress,
    entries: number,
  ): QueueViolation | undefined {
    const { head } = chain;
    const offset = address - region.base;
    const aligned = offset % 4 === 0;
    const words = aligned ? region.u32 : this.#unaligned;
    let index = 0;
    for (let visited = 1; ; visited++) {
      if (!aligned) this.#fetchUnaligned(region, offset + index * DESCRIPTOR_SIZE);
      const at = aligned ? offset / 4 + index * 4 : 0;
      const low = words[at] ?? 0;
      const high = words[at + 1] ?? 0;
      const length = words[at + 2] ?? 0;
      const link = words[at + 3] ?? 0;
      if ((link & DESCRIPTOR_INDIRECT) !== 0) {
        // §2.7.5.3.1: "MUST NOT set the VIRTQ_DESC_F_INDIRECT flag within an indirect descriptor".
        return violation(
          "indirect-nested",
          "2.7.5.3.1",
          `chain ${head} has an indirect table inside an indirect table`,
        );
      }
      if (chain.count >= this.#size) {
        // §2.7.5.3.1: "MUST NOT create a descriptor chain longer than the Queue Size of the device".
        const message = `chain ${head} has more than ${this.#size} buffers, the size of the queue`;
        return violation("chain-too-long", "2.7.5.3.1", message);
      }
      const problem = this.#append(chain, low, high, length, link);
      if (problem !== undefined) return problem;
      if ((link & DESCRIPTOR_NEXT) === 0) return undefined;
      index = linkNext(link);
      if (index >= entries) return nextOutOfRange(head, index, entries);
      if (visited >= entries) return loop(head, entries);
    }
  }

  #append(chain: SplitChain, low: number, high: number, length: number, link: number): QueueViolation | undefined {
    const address = high === 0 ? low : addressFromHalves(low, high);
    if (address === undefined || !this.#regions.holds(address, length)) {
      return this.#outOfRange(chain.head, low, high, length);
    }
    if ((link & DESCRIPTOR_WRITE) !== 0) {
      chain.writableBytes += length;
    } else {
      // §2.7.4.2: "MUST place any device-writable descriptor elements after any device-readable descriptor elements".
      if (chain.count !== chain.readableCount) {
        const message = `chain ${chain.head} has a readable buffer after a writable one`;
        return violation("readable-after-writable", "2.7.4.2", message);
      }
      chain.readableCount++;
      chain.readableBytes += length;
    }
    if (chain.readableBytes + chain.writableBytes > MAX_CHAIN_BYTES) {
      return violation("chain-over-4-gib", "2.7.5.2", `chain ${chain.head} has more than 2^32 bytes`);
    }
    chain.append(address, length);
    return undefined;
  }

  #fetchUnaligned(region: MemoryRegion, offset: number): void {
    for (let i = 0; i < DESCRIPTOR_SIZE; i++) this.#unalignedBytes[i] = region.u8[offset + i] ?? 0;
  }

  #outOfRange(head: number, low: number, high: number, length: number): QueueViolation {
    const address = `0x${high.toString(16)}_${low.toString(16).padStart(8, "0")}`;
    const message = `chain ${head} has ${length} bytes at ${address}, which are not in guest memory`;
    return violation("address-out-of-range", "2.7.5", message);
  }
}

function nextOutOfRange(head: number, next: number, size: number): QueueViolation {
  return violation("next-out-of-range", "2.7.5", `chain ${head} goes on at descriptor ${next} of a table of ${size}`);
}

function loop(head: number, size: number): QueueViolation {
  return violation("chain-loop", "2.7.5.2", `chain ${head} visits more descriptors than the ${size} of its table`);
}
