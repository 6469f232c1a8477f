/** Large transfers in pieces, several of them on their way at once. */
import type { Cancellation } from "./cancellation.ts";

/**
 * Cuts `total` bytes into pieces of at most `size`, at most `atOnce` of them under way, and joins the results: the count
 * of bytes up to the first short piece. An error counts only when nothing came before it. Settles when no piece is
 * under way any more, also after a cancellation.
 * @param piece transfers `length` bytes at `offset`; the count or a negative errno
 */
export async function pump(
  total: number,
  size: number,
  atOnce: number,
  cancel: Cancellation | undefined,
  piece: (offset: number, length: number) => Promise<number>,
): Promise<number> {
  if (total <= size) return total === 0 ? 0 : cancelledFirst(cancel, await piece(0, total));
  // Where the transfer ends, as far as is known: a short or failed piece makes all after it void.
  let end = total;
  let failure = 0;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < end && cancel?.cancelled !== true) {
      const offset = next;
      const length = Math.min(size, total - offset);
      next += length;
      const count = await piece(offset, length);
      if (count === length || offset + Math.max(0, count) >= end) continue;
      end = offset + Math.max(0, count);
      failure = Math.min(0, count);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return cancelledFirst(cancel, end === 0 ? failure : end);
}

/** A call that was cancelled says so, whatever came of its pieces. */
function cancelledFirst(cancel: Cancellation | undefined, result: number): number {
  return cancel?.cancelled === true ? cancel.result : result;
}
