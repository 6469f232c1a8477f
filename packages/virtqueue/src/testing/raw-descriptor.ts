/** Descriptors as a test writes and reads them (virtio 1.3 §2.7.5), with no check at all. */
import type { GuestMemory } from "@toril/memory";
import { DESCRIPTOR_SIZE } from "../queue-layout.ts";
import { readLe16, readLe32, readLe64, writeLe16, writeLe32, writeLe64 } from "./raw-memory.ts";

export { DESCRIPTOR_INDIRECT, DESCRIPTOR_NEXT, DESCRIPTOR_WRITE } from "../numbers.ts";

export interface RawDescriptor {
  readonly address: number;
  readonly length: number;
  /** 0 unless told. */
  readonly flags?: number;
  /** 0 unless told. */
  readonly next?: number;
}

/** Writes descriptor `index` of the table (direct or indirect) at `table`. */
export function writeRawDescriptor(memory: GuestMemory, table: number, index: number, raw: RawDescriptor): void {
  const at = table + index * DESCRIPTOR_SIZE;
  writeLe64(memory, at, raw.address);
  writeLe32(memory, at + 8, raw.length);
  writeLe16(memory, at + 12, raw.flags ?? 0);
  writeLe16(memory, at + 14, raw.next ?? 0);
}

/** Reads descriptor `index` of the table at `table`. */
export function readRawDescriptor(memory: GuestMemory, table: number, index: number): Required<RawDescriptor> {
  const at = table + index * DESCRIPTOR_SIZE;
  return {
    address: readLe64(memory, at),
    length: readLe32(memory, at + 8),
    flags: readLe16(memory, at + 12),
    next: readLe16(memory, at + 14),
  };
}
