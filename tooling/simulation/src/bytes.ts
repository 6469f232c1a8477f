/** Contents that show where they come from: no two files, and no two places in one, look alike. */

function patternAt(id: number, offset: number): number {
  return (offset * 7 + (offset >>> 8) * 13 + (offset >>> 16) * 29 + id * 37) & 0xff;
}

/** @param id which file or connection */
export function pattern(id: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = patternAt(id, offset + i);
  return bytes;
}

/** Where two runs of bytes first differ; -1 when they are the same. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length === b.length && Buffer.compare(a, b) === 0) return -1;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return length;
}
