/**
 * Guest-physical addresses. An address is a number that has been checked once: a non-negative safe integer. It has a
 * brand, so that an offset, a length or a host index cannot be passed where an address is meant, and it moves only
 * through the functions below, which check.
 */

declare const guestAddressBrand: unique symbol;

/** An address in the guest's physical address space, in bytes; at most 2^53 - 1. */
export type GuestAddress = number & { readonly [guestAddressBrand]: "GuestAddress" };

/**
 * Makes an address of a number.
 * @throws RangeError when `value` is not a non-negative safe integer.
 */
export function guestAddress(value: number): GuestAddress {
  if (!isGuestAddress(value)) {
    throw new RangeError(`${value} is not a guest address: it must be an integer from 0 to 2^53 - 1`);
  }
  return value;
}

/** Whether a number can be an address. */
export function isGuestAddress(value: number): value is GuestAddress {
  return Number.isSafeInteger(value) && value >= 0;
}

/**
 * The address `bytes` after `address` (before it, when negative).
 * @throws RangeError when the sum is no address.
 */
export function addressAt(address: GuestAddress, bytes: number): GuestAddress {
  return guestAddress(address + bytes);
}

/** The next address at or after `address` that is a multiple of `alignment` (a power of two, in bytes). */
export function alignUp(address: GuestAddress, alignment: number): GuestAddress {
  return guestAddress(Math.ceil(address / alignment) * alignment);
}

const HIGH_LIMIT = 0x20_0000; // 2^53 / 2^32: a larger high half is no safe integer.

/**
 * Joins the two 32-bit halves of a little-endian 64-bit address read from shared memory.
 * `undefined` when the value is above 2^53 - 1: no memory of ours lies there, so the peer is at fault.
 */
export function addressFromHalves(low: number, high: number): GuestAddress | undefined {
  const upper = high >>> 0;
  if (upper >= HIGH_LIMIT) return undefined;
  const joined: number = upper * 0x1_0000_0000 + (low >>> 0);
  return isGuestAddress(joined) ? joined : undefined;
}

/** The upper 32 bits of an address, as an unsigned number. */
export function highHalf(address: GuestAddress): number {
  return Math.floor(address / 0x1_0000_0000);
}

/** The lower 32 bits of an address, as an unsigned number. */
export function lowHalf(address: GuestAddress): number {
  return address >>> 0;
}
