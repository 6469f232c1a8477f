/** One run of guest-physical addresses that is backed by one run of a host buffer. */
import type { GuestAddress } from "./guest-address.ts";
import { isShared } from "./wasm.ts";

/** What a region of mapped memory is made of. */
export interface RegionSource {
  /** Guest-physical address of its first byte. A multiple of 8. */
  readonly base: GuestAddress;
  readonly buffer: ArrayBufferLike;
  /** Where the region starts in `buffer`, in bytes; 0 unless told. A multiple of 8. */
  readonly byteOffset?: number;
  /** Its size in bytes, a multiple of 8; the rest of `buffer` unless told. */
  readonly size?: number;
}

/** The typed arrays start at the region's base: the index of a byte is its address minus `base`. */
export class MemoryRegion {
  readonly base: GuestAddress;
  readonly size: number;
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  /** Whether `buffer` is a SharedArrayBuffer, on which the engine's bulk operations are slow. */
  readonly sharing: "shared" | "unshared";
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;

  /** @throws RangeError when the run is empty, odd-sized, misaligned, or not inside the buffer. */
  constructor({ base, buffer, byteOffset = 0, size = buffer.byteLength - byteOffset }: RegionSource) {
    if (byteOffset % 8 !== 0 || base % 8 !== 0 || size % 8 !== 0) {
      throw new RangeError(
        `a region's base, offset and size must be multiples of 8: got ${base}, ${byteOffset}, ${size}`,
      );
    }
    if (size <= 0 || byteOffset < 0 || byteOffset + size > buffer.byteLength) {
      throw new RangeError(`a region of ${size} bytes at ${byteOffset} is not inside a buffer of ${buffer.byteLength}`);
    }
    if (!Number.isSafeInteger(base + size)) {
      throw new RangeError(`a region of ${size} bytes at guest address ${base} ends beyond the last address, 2^53 - 1`);
    }
    this.base = base;
    this.size = size;
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.sharing = isShared(buffer) ? "shared" : "unshared";
    this.u8 = new Uint8Array(buffer, byteOffset, size);
    this.u16 = new Uint16Array(buffer, byteOffset, size / 2);
    this.u32 = new Uint32Array(buffer, byteOffset, size / 4);
    this.i32 = new Int32Array(buffer, byteOffset, size / 4);
  }

  /** Whether all of `length` bytes at `address` lie here. */
  holds(address: number, length: number): boolean {
    const offset = address - this.base;
    return offset >= 0 && length >= 0 && length <= this.size && offset <= this.size - length;
  }
}
