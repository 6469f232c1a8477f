/** What the addresses of a program are called in traces. */
import type { NameOf } from "../access.ts";

/** An area that begins at an address, and the name of what lies at an offset in it. */
export type Area = readonly [start: number, nameOf: (offset: number) => string];

/** The fields of §2.7.5, §2.7.6 and §2.7.8, where `layoutAt(0, size)` puts them; then the areas, in ascending order. */
export function ringNames(size: number, areas: readonly Area[]): NameOf {
  const available = 16 * size;
  const used = Math.ceil((available + 6 + 2 * size) / 4) * 4;
  return (at) => {
    const area = areas.findLast(([start]) => at >= start);
    if (area !== undefined) return area[1](at - area[0]);
    if (at < available) return `descriptor ${at >> 4} ${wordOfDescriptor(at)}`;
    if (at < used) return nameOfField("avail", at - available, size, 2, "used_event");
    return nameOfField("used", at - used, size, 8, "avail_event");
  };
}

/** The word of a descriptor that lies at this offset from some descriptor's start. */
export function wordOfDescriptor(offset: number): string {
  return ["addr", "addr high", "len", "flags and next"][(offset & 15) >> 2] ?? "";
}

function nameOfField(ring: string, offset: number, size: number, entryBytes: number, event: string): string {
  if (offset < 2) return `${ring}.flags`;
  if (offset < 4) return `${ring}.idx`;
  const entry = Math.floor((offset - 4) / entryBytes);
  if (entry >= size) return event;
  const field = entryBytes === 2 ? "" : (offset - 4) % entryBytes < 4 ? ".id" : ".len";
  return `${ring}.ring[${entry}]${field}`;
}
