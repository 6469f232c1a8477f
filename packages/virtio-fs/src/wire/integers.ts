/**
 * Little-endian integers in bytes. Plain byte arithmetic: no alignment is needed, nothing is allocated, and every byte
 * is read once (the bytes may lie in memory that the peer can change meanwhile).
 *
 * FUSE has two kinds of 64-bit fields. *Ids* (node, handle, unique, inode, directory cookie) are whatever the peer
 * chose: they are kept as two halves and never computed with. *Quantities* (offsets, sizes) become numbers, through
 * `getQuantity` alone, which refuses what a number cannot hold.
 */

/** A 64-bit value that means nothing to us; both halves unsigned 32-bit. */
export interface Opaque64 {
  low: number;
  high: number;
}

const TWO_32 = 0x1_0000_0000;
/** 2^53 / 2^32: a larger high half is no safe integer. */
const HIGH_LIMIT = 0x20_0000;

export function getU16(bytes: Uint8Array, at: number): number {
  return byte(bytes, at) | (byte(bytes, at + 1) << 8);
}

export function getU32(bytes: Uint8Array, at: number): number {
  return (
    (byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24)) >>> 0
  );
}

export function getI32(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at) | 0;
}

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

/** Also for signed values. */
export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** An unsigned 64-bit quantity; -1 when it is above 2^53 - 1: no file of ours is that large, so the peer is at fault. */
export function getQuantity(bytes: Uint8Array, at: number): number {
  return joinHalves(getU32(bytes, at), getU32(bytes, at + 4));
}

/** @throws RangeError when `value` is not an integer from 0 to 2^53 - 1. */
export function putQuantity(bytes: Uint8Array, at: number, value: number): void {
  requireQuantity(value);
  putU32(bytes, at, value);
  putU32(bytes, at + 4, Math.floor(value / TWO_32));
}

/** A signed 64-bit count of seconds. Beyond ±2^53 (285 million years) it is rounded. */
export function getSeconds(bytes: Uint8Array, at: number): number {
  return getI32(bytes, at + 4) * TWO_32 + getU32(bytes, at);
}

/** @throws RangeError when `value` is not a safe integer. */
export function putSeconds(bytes: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a whole number of seconds`);
  putU32(bytes, at, value);
  putU32(bytes, at + 4, Math.floor(value / TWO_32));
}

export function getOpaque(bytes: Uint8Array, at: number, into: Opaque64): void {
  into.low = getU32(bytes, at);
  into.high = getU32(bytes, at + 4);
}

export function putOpaque(bytes: Uint8Array, at: number, value: Readonly<Opaque64>): void {
  putU32(bytes, at, value.low);
  putU32(bytes, at + 4, value.high);
}

export function opaque(low = 0, high = 0): Opaque64 {
  return { low, high };
}

export function copyOpaque(from: Readonly<Opaque64>, into: Opaque64): void {
  into.low = from.low;
  into.high = from.high;
}

export function sameOpaque(a: Readonly<Opaque64>, b: Readonly<Opaque64>): boolean {
  return a.low === b.low && a.high === b.high;
}

/**
 * For ids that we choose ourselves.
 * @throws RangeError when a number is not an integer from 0 to 2^53 - 1.
 */
export function setOpaque(into: Opaque64, value: number | bigint): void {
  if (typeof value === "bigint") {
    into.low = Number(BigInt.asUintN(32, value));
    into.high = Number(BigInt.asUintN(32, value >> 32n));
    return;
  }
  requireQuantity(value);
  into.low = value >>> 0;
  into.high = Math.floor(value / TWO_32);
}

/** -1 when the value is above 2^53 - 1: then it is no id of ours. */
export function opaqueToNumber(value: Readonly<Opaque64>): number {
  return joinHalves(value.low, value.high);
}

export function opaqueToBigInt(value: Readonly<Opaque64>): bigint {
  return (BigInt(value.high) << 32n) | BigInt(value.low);
}

/** A key for a Map: equal values give equal keys. A number as long as that is exact. */
export function opaqueKey(value: Readonly<Opaque64>): number | bigint {
  const number = joinHalves(value.low, value.high);
  return number === -1 ? opaqueToBigInt(value) : number;
}

function joinHalves(low: number, high: number): number {
  return high < HIGH_LIMIT ? high * TWO_32 + low : -1;
}

function requireQuantity(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${value} cannot be sent in 64 bits: it must be an integer from 0 to 2^53 - 1`);
  }
}

/** Bytes past the end read as 0; the callers have checked the length. */
function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
