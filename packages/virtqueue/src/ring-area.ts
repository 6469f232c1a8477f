/** From a guest address to typed arrays over exactly one ring area: an index past the area reads nothing else. */
import type { GuestAddress, GuestMemory, MemoryRegion } from "@toril/memory";

/** §1.4: all fields are little-endian; the rings are read with the host's typed arrays, so the host must be too. */
const HOST_IS_LITTLE_ENDIAN: boolean = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

export interface RingArea {
  readonly buffer: ArrayBufferLike;
  /** In bytes, in `buffer`. */
  readonly byteOffset: number;
}

/**
 * @throws RangeError when the area is misaligned or not in one region.
 * @throws Error on a big-endian host.
 */
export function ringArea(
  memory: GuestMemory,
  name: string,
  address: GuestAddress,
  bytes: number,
  alignment: number,
): RingArea {
  if (!HOST_IS_LITTLE_ENDIAN) throw new Error("virtqueues need a little-endian host");
  const problem = ringAreaProblem(memory, name, address, bytes, alignment);
  if (problem !== undefined) throw new RangeError(problem);
  const region: MemoryRegion | undefined = memory.locate(address, bytes);
  if (region === undefined) throw new RangeError(`the ${name} is not in guest memory`);
  return { buffer: region.buffer, byteOffset: region.byteOffset + (address - region.base) };
}

/** What is wrong with the place of an area, as a sentence; `undefined` when nothing is. */
export function ringAreaProblem(
  memory: GuestMemory,
  name: string,
  address: GuestAddress,
  bytes: number,
  alignment: number,
): string | undefined {
  if (address % alignment !== 0) return `the ${name} at guest address ${address} must be aligned to ${alignment} bytes`;
  if (memory.contains(address, bytes)) return undefined;
  return `the ${name} of ${bytes} bytes at guest address ${address} is not in one region of guest memory`;
}
