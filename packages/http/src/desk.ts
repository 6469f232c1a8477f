/**
 * What a connection reads requests with. Making it costs as much as answering a small request, so those of connections
 * that have ended are used again; a parser that has read the same target before also hands out the same string.
 */
import { INPUT_SIZE } from "./input.ts";
import type { ParserLimits } from "./limits.ts";
import { RequestParser } from "./parser.ts";

export interface Desk {
  readonly parser: RequestParser;
  readonly input: Uint8Array;
}

/** Kept when nobody uses them: some 10 KiB each. */
const KEPT = 64;

export class Desks {
  readonly #limits: ParserLimits;
  readonly #free: Desk[] = [];

  constructor(limits: ParserLimits) {
    this.#limits = limits;
  }

  take(): Desk {
    return this.#free.pop() ?? { parser: new RequestParser(this.#limits), input: new Uint8Array(INPUT_SIZE) };
  }

  /** Nobody reads from it any more: its connection has ended. */
  giveBack(desk: Desk): void {
    if (this.#free.length === KEPT) return;
    desk.parser.reset();
    this.#free.push(desk);
  }
}
