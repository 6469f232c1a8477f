/** What a caller may ask of an allocator. */
import { GRANULE } from "./size-classes.ts";

/**
 * @throws RangeError unless `length` is a non-negative integer and `alignment` a power of two.
 */
export function checkRequest(length: number, alignment: number): void {
  // The first test is free for the small integers that most lengths are.
  if (!((length | 0) === length || Number.isSafeInteger(length)) || length < 0) {
    throw new RangeError(`a block of ${length} bytes cannot be made: give a whole number from 0 up`);
  }
  if (alignment === GRANULE) return;
  if (!isPowerOfTwo(alignment)) {
    throw new RangeError(`a block cannot be aligned to ${alignment} bytes: give a power of two`);
  }
}

function isPowerOfTwo(value: number): boolean {
  if ((value | 0) === value) return value > 0 && (value & (value - 1)) === 0;
  return value > 0 && Number.isSafeInteger(value) && 2 ** Math.round(Math.log2(value)) === value;
}
