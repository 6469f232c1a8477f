/**
 * The driver's indirect descriptor tables (virtio 1.3 §2.7.5.3): one per descriptor of the queue, made once. The table
 * of descriptor `head` is in use exactly while a chain that starts at `head` is in flight, so there is nothing to allocate.
 */
import type { DmaBuffer } from "@toril/memory";
import { writeDescriptor } from "./descriptor-table.ts";
import { DESCRIPTOR_SIZE } from "./numbers.ts";
import { ringArea } from "./ring-area.ts";

export interface IndirectOptions {
  /**
   * Guest memory for the tables: at least `indirectTableBytes(size, maxSegments)` bytes, aligned to 16. The queue uses
   * it for as long as it lives; the device reads it.
   */
  readonly tables: DmaBuffer;
  /** The longest chain that gets a table, 2 … queue size (§2.7.5.3.1). A longer chain takes direct descriptors. */
  readonly maxSegments: number;
}

/** Bytes of guest memory that the indirect tables of a queue need. */
export function indirectTableBytes(size: number, maxSegments: number): number {
  return size * maxSegments * DESCRIPTOR_SIZE;
}

export class IndirectTables {
  readonly #words: Uint32Array;
  readonly maxSegments: number = 0;
  readonly #base: number = 0;

  /** @throws RangeError when `maxSegments` is out of range, or the buffer is too small or misaligned. */
  constructor({ tables, maxSegments }: IndirectOptions, size: number) {
    if (!Number.isInteger(maxSegments) || maxSegments < 2 || maxSegments > size) {
      throw new RangeError(`indirect tables of ${maxSegments} segments: give 2 to ${size}, the size of the queue`);
    }
    const bytes = indirectTableBytes(size, maxSegments);
    if (tables.length < bytes) {
      throw new RangeError(`the indirect tables need ${bytes} bytes, but the buffer has ${tables.length}`);
    }
    const area = ringArea(tables.memory, "indirect tables", tables.address, bytes, DESCRIPTOR_SIZE);
    this.#words = new Uint32Array(area.buffer, area.byteOffset, bytes / 4);
    this.maxSegments = maxSegments;
    this.#base = tables.address;
  }

  /** Fills descriptor `index` of the table of `head`. */
  write(head: number, index: number, address: number, length: number, link: number): void {
    writeDescriptor(this.#words, head * this.maxSegments + index, address, length, link);
  }

  /** Guest address of the table of `head`: a plain sum, because the whole buffer was found in memory. */
  address(head: number): number {
    return this.#base + head * this.maxSegments * DESCRIPTOR_SIZE;
  }
}
