/**
 * The Range field (RFC 9110 §14.1.2, §14.2). Ours because range-parser calls a suffix that is longer than the file
 * unsatisfiable, where §14.1.2 says "the entire representation is used".
 */

/** Inclusive ends, as on the wire. `ignore`: not ours to honour, send all. */
export type RangeRequest =
  | { readonly kind: "ignore" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "part"; readonly start: number; readonly end: number };

const SPEC = /^(?:(\d+)-(\d*)|-(\d+))$/;

/** Reads a Range field for a representation of `size` bytes. Ranges that touch or overlap count as one. */
export function parseByteRange(field: string, size: number): RangeRequest {
  const unit = /^bytes=(.*)$/i.exec(field.trim());
  if (unit?.[1] === undefined) return { kind: "ignore" };
  const parts: { start: number; end: number }[] = [];
  for (const text of unit[1].split(",")) {
    const spec = SPEC.exec(text.trim());
    if (spec === null) return { kind: "ignore" };
    const [, first, last, suffix] = spec;
    const start = suffix === undefined ? Number(first) : Math.max(0, size - Number(suffix));
    const end = suffix === undefined && last !== "" ? Number(last) : Number.POSITIVE_INFINITY;
    if (end < start) return { kind: "ignore" };
    if (start < size && suffix !== "0") parts.push({ start, end: Math.min(end, size - 1) });
  }
  return joined(parts);
}

function joined(parts: { start: number; end: number }[]): RangeRequest {
  const [first, ...rest] = parts.sort((a, b) => a.start - b.start);
  if (first === undefined) return { kind: "unsatisfiable" };
  let end = first.end;
  for (const part of rest) {
    // §14.2: "MAY ignore": separate parts would need multipart/byteranges, and nobody who asks must take it.
    if (part.start > end + 1) return { kind: "ignore" };
    end = Math.max(end, part.end);
  }
  return { kind: "part", start: first.start, end };
}
