/** A part of a file as the body of a response: cached blocks, lent to the connection one after the other. */
import type { LentBody, LentPiece } from "@toril/http";
import type { FileCalls, FilePiece } from "@toril/virtio-fs";
import type { OpenFile } from "./open-files.ts";

/**
 * @param start first byte, @param length how many. A file that has become shorter ends the body early, and the server
 * then cuts the connection: nothing is padded.
 */
export class FileBody implements LentBody {
  readonly length: number;
  readonly #fs: FileCalls;
  readonly #open: OpenFile;
  #position: number;
  readonly #end: number;

  constructor(fs: FileCalls, open: OpenFile, start: number, length: number) {
    this.#fs = fs;
    this.#open = open;
    this.#position = start;
    this.#end = start + length;
    this.length = length;
  }

  next(most: number): LentPiece | undefined | Promise<LentPiece | undefined> {
    const wanted = Math.min(most, this.#end - this.#position);
    if (wanted === 0) return undefined;
    const cached = this.#fs.tryPin(this.#open.file, this.#position, wanted);
    if (typeof cached !== "number") return this.#piece(cached);
    // Any errno but "not cached" is told by the waiting form, too.
    return this.#fs.pin(this.#open.file, this.#position, wanted).then((piece) => this.#piece(piece));
  }

  close(): void {
    this.#open.release();
  }

  #piece(piece: FilePiece | undefined): LentPiece | undefined {
    if (piece === undefined) return undefined;
    this.#position += piece.length;
    const { buffer, offset, length } = piece;
    return { buffer, offset, length, done: () => this.#fs.unpin(piece) };
  }
}
