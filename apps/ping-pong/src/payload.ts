/** The bytes of messages: what must be in them, and reading all of them. */

/** Which way a message goes: the two never carry the same bytes. */
export const Direction = { PING: 0x5bd1_e995, PONG: 0x27d4_eb2f } as const;
export type Direction = (typeof Direction)[keyof typeof Direction];

/** The 32-bit word at `index` of message `message`: neighbours differ, so that a shift or a swap of pieces shows. */
function wordAt(direction: Direction, message: number, index: number): number {
  const mixed = Math.imul(index + 1, 0x85eb_ca6b) ^ Math.imul(message + 1, 0x9e37_79b1) ^ direction;
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2_ae35);
}

export function fill(target: Uint8Array, direction: Direction, message: number): void {
  for (let i = 0; i < target.length; i++) target[i] = wordAt(direction, message, i >>> 2) >>> (8 * (i & 3));
}

/** @returns the offset in the message of the first byte that is not what it must be; -1 when all are */
export function firstFault(bytes: Uint8Array, direction: Direction, message: number, offset: number): number {
  for (let i = 0; i < bytes.length; i++) {
    const at = offset + i;
    if (bytes[i] !== ((wordAt(direction, message, at >>> 2) >>> (8 * (at & 3))) & 0xff)) return at;
  }
  return -1;
}

const NO_WORDS = new Int32Array(0);

/** Loads every byte, as many at a time as the engine does well. The result says nothing, but keeps the loads from being left out. */
export function readAll(bytes: Uint8Array): number {
  const { buffer, byteOffset, length } = bytes;
  let sum = 0;
  const head = Math.min((4 - (byteOffset & 3)) & 3, length);
  for (let i = 0; i < head; i++) sum += bytes[i] ?? 0;
  const count = (length - head) >>> 2;
  // Without a word nothing may be where a word could begin.
  const words = count === 0 ? NO_WORDS : new Int32Array(buffer, byteOffset + head, count);
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = words.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    a ^= words[i] as number;
    b ^= words[i + 1] as number;
    c ^= words[i + 2] as number;
    d ^= words[i + 3] as number;
  }
  for (let i = whole; i < words.length; i++) a ^= words[i] as number;
  for (let i = head + words.length * 4; i < length; i++) sum += bytes[i] ?? 0;
  return sum ^ a ^ b ^ c ^ d;
}

/** Where the results of `readAll` go. */
export class Sink {
  value = 0;

  take(bytes: Uint8Array): void {
    this.value ^= readAll(bytes);
  }
}
