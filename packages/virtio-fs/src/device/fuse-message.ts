/**
 * One FUSE request as its transport holds it: bytes to read and bytes to fill, each in any number of segments. A `Chain`
 * of a virtqueue is one; `SegmentMessage` is one over plain arrays.
 */
import type { Chain } from "@toril/virtqueue";

/**
 * Readable segments come first. Nothing here may be trusted to stay the same: it is the guest's memory, so the server
 * reads each byte once, into memory of its own.
 */
export type FuseMessage = Pick<
  Chain,
  "count" | "readableCount" | "readableBytes" | "writableBytes" | "length" | "view" | "read" | "write"
>;

/** A request in memory of this process: for tests, and for transports that are not virtqueues. */
export class SegmentMessage implements FuseMessage {
  readonly count: number;
  readonly readableCount: number;
  readonly readableBytes: number;
  readonly writableBytes: number;
  readonly #segments: readonly Uint8Array[];

  constructor(readable: readonly Uint8Array[], writable: readonly Uint8Array[]) {
    this.#segments = [...readable, ...writable];
    this.count = this.#segments.length;
    this.readableCount = readable.length;
    this.readableBytes = total(readable);
    this.writableBytes = total(writable);
  }

  length(i: number): number {
    return this.view(i).length;
  }

  /** @throws RangeError when there is no such segment. */
  view(i: number): Uint8Array {
    const segment = this.#segments[i];
    if (segment === undefined) throw new RangeError(`segment ${i} of ${this.count}`);
    return segment;
  }

  read(offset: number, target: Uint8Array): number {
    let taken = 0;
    for (const view of cut(this, 0, this.readableCount, offset, target.length)) {
      target.set(view, taken);
      taken += view.length;
    }
    return taken;
  }

  write(offset: number, source: Uint8Array): number {
    let taken = 0;
    for (const view of cut(this, this.readableCount, this.count, offset, source.length)) {
      view.set(source.subarray(taken, taken + view.length));
      taken += view.length;
    }
    return taken;
  }
}

/** Views of `length` readable bytes from `offset` on, in place; fewer when there are not as many. */
export function readableViews(message: FuseMessage, offset: number, length: number): Uint8Array[] {
  return cut(message, 0, message.readableCount, offset, length);
}

/** Views of `length` writable bytes from `offset` on, in place; fewer when there are not as many. */
export function writableViews(message: FuseMessage, offset: number, length: number): Uint8Array[] {
  return cut(message, message.readableCount, message.count, offset, length);
}

function cut(message: FuseMessage, first: number, end: number, offset: number, length: number): Uint8Array[] {
  const views: Uint8Array[] = [];
  let skip = offset;
  let left = length;
  for (let i = first; i < end && left > 0; i++) {
    const size = message.length(i);
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const take = Math.min(size - skip, left);
    const view = message.view(i);
    views.push(take === size ? view : view.subarray(skip, skip + take));
    skip = 0;
    left -= take;
  }
  return views;
}

function total(segments: readonly Uint8Array[]): number {
  return segments.reduce((sum, segment) => sum + segment.length, 0);
}
