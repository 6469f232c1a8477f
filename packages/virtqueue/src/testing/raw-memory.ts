/**
 * Little-endian numbers in guest memory, written through a DataView with explicit byte order: on purpose another way
 * than the queues take, so that a scripted peer does not repeat their mistakes.
 */
import type { GuestMemory } from "@toril/memory";

const TWO_TO_32 = 0x1_0000_0000;

function viewAt(memory: GuestMemory, address: number, length: number): DataView {
  const region = memory.locate(address, length);
  if (region === undefined) throw new RangeError(`${length} bytes at guest address ${address} are not in guest memory`);
  return new DataView(region.buffer, region.byteOffset + (address - region.base), length);
}

export function readLe16(memory: GuestMemory, address: number): number {
  return viewAt(memory, address, 2).getUint16(0, true);
}

export function writeLe16(memory: GuestMemory, address: number, value: number): void {
  viewAt(memory, address, 2).setUint16(0, value, true);
}

export function readLe32(memory: GuestMemory, address: number): number {
  return viewAt(memory, address, 4).getUint32(0, true);
}

export function writeLe32(memory: GuestMemory, address: number, value: number): void {
  viewAt(memory, address, 4).setUint32(0, value, true);
}

/** A 64-bit number above 2^53 loses its low bits. */
export function readLe64(memory: GuestMemory, address: number): number {
  return readLe32(memory, address) + readLe32(memory, address + 4) * TWO_TO_32;
}

/** Any number from 0 to 2^64, exact as far as a double is. */
export function writeLe64(memory: GuestMemory, address: number, value: number): void {
  writeLe32(memory, address, value % TWO_TO_32);
  writeLe32(memory, address + 4, Math.floor(value / TWO_TO_32));
}
