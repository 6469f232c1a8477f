/**
 * Free-running 16-bit ring indices (virtio 1.3 §2.7.6, §2.7.8). They count for ever and wrap from 65,535 to 0, so `<`
 * and `>` between two of them are bugs: ask for the distance instead.
 */
import { INDEX_MASK } from "./numbers.ts";

/** The index after `index`. */
export function indexAfter(index: number): number {
  return (index + 1) & INDEX_MASK;
}

/** The index before `index`. */
export function indexBefore(index: number): number {
  return (index - 1) & INDEX_MASK;
}

/** How many steps lead from `from` forward to `to`: 0 … 65,535. */
export function indexDistance(from: number, to: number): number {
  return (to - from) & INDEX_MASK;
}
