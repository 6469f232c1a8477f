/** Lent bodies on their way out: the pieces that go in one send, and when they go back. */
import type { BufferSlice } from "@toril/sockets";
import type { LentBody, LentPiece } from "./body.ts";

/** Most bytes that are asked for at a time, whatever the peer has room for: what waits for the ring keeps others from it. */
const MAX_BATCH = 256 * 1024;

/** The body did not keep its word. The connection must be cut: the client cannot be told otherwise. */
export class BodyError extends Error {
  override readonly name = "BodyError";
}

/** Pieces that are lent together, in one send or in several: they are done when the last part of them is back. */
export class Batch {
  readonly pieces: LentPiece[] = [];
  /** Bytes of all pieces. */
  length = 0;
  /** The piece behind them, when it has been asked for and is still on its way. */
  coming: Promise<LentPiece | undefined> | undefined;
  /** One for the batch itself, one for each send that lends of it. */
  #open = 1;
  readonly returned: () => void = () => {
    this.#open--;
    if (this.#open === 0) this.#done();
  };

  add(piece: LentPiece): void {
    this.pieces.push(piece);
    this.length += piece.length;
  }

  /** Each has its say, whatever another one's throws. */
  #done(): void {
    const errors: unknown[] = [];
    for (const { done } of this.pieces) {
      try {
        done();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** A send begins; `returned` ends it. */
  begin(): void {
    this.#open++;
  }

  /** The parts that hold `length` bytes from byte `from` on. */
  slice(from: number, length: number): BufferSlice[] {
    const parts: BufferSlice[] = [];
    let before = from;
    let left = length;
    for (const piece of this.pieces) {
      const start = Math.min(before, piece.length);
      const count = Math.min(left, piece.length - start);
      if (count > 0) parts.push({ buffer: piece.buffer, offset: piece.offset + start, length: count });
      before -= start;
      left -= count;
    }
    return parts;
  }
}

/**
 * The next pieces of a body, up to `room` bytes and as far as they come at once; `left` bytes of it are still to come.
 * @throws BodyError, or what the body throws; the pieces that came go back then.
 */
export function gather(body: LentBody, room: number, left: number): Batch {
  const batch = new Batch();
  const most = Math.min(room, left, MAX_BATCH);
  try {
    while (batch.length < most) {
      const next = body.next(most - batch.length);
      if (next instanceof Promise) {
        next.catch(() => {}); // it may fail while the others still wait; whoever awaits it hears of that all the same
        batch.coming = next;
        break;
      }
      batch.add(whole(next, left - batch.length));
    }
  } catch (error) {
    batch.returned();
    throw error;
  }
  return batch;
}

/** A piece that nobody sends any more must come home, too. */
export function discard(coming: Promise<LentPiece | undefined> | undefined): void {
  coming?.then((piece) => piece?.done()).catch(() => {});
}

/** @throws BodyError when there is no piece, or one that goes beyond the length that was told. */
export function whole(piece: LentPiece | undefined, left: number): LentPiece {
  if (piece === undefined) throw new BodyError(`the body ended ${left} bytes before its Content-Length`);
  if (piece.length > 0 && piece.length <= left) return piece;
  piece.done();
  throw new BodyError(`a piece of ${piece.length} bytes where ${left} were left of the Content-Length`);
}
