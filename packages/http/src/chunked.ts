/**
 * The chunked transfer coding (RFC 9112 §7.1), decoded in place: each `feed` names one run of body bytes in what it was
 * given. Extensions and trailer fields are checked, limited and dropped.
 */
import { COLON, CR, FIELD_VALUE, HEX, LF, SEMICOLON, SPACE, TAB, TOKEN_LOWER } from "./chars.ts";
import type { RequestFailure } from "./failure.ts";
import type { ParserLimits } from "./limits.ts";

const At = {
  SIZE_START: 0,
  SIZE: 1,
  EXTENSION: 2,
  SIZE_LF: 3,
  DATA: 4,
  DATA_CR: 5,
  DATA_LF: 6,
  TRAILER_START: 7,
  TRAILER_NAME: 8,
  TRAILER_VALUE: 9,
  TRAILER_LF: 10,
  END_LF: 11,
} as const;

/** 12 digits are 2^48: more than any body, and exact in a number. */
const MAX_SIZE_DIGITS = 12;

const failure = (reason: string, status = 400): RequestFailure => ({ status, reason });
const Fail = {
  SIZE: failure("a chunk size is not a hexadecimal number"),
  EXTENSION: failure("a chunk extension holds a control character"),
  EXTENSIONS: failure("the chunk extensions are too long"),
  LINE_END: failure("a line of the chunked body does not end in CR LF"),
  TRAILER: failure("a trailer field is not well formed"),
  TRAILERS: failure("the trailer fields are too long", 431),
} as const;

export class ChunkedDecoder {
  state: "reading" | "done" | "failed" = "reading";
  /** Set when `state` is `failed`. */
  failure: RequestFailure | undefined = undefined;
  /** The run of body bytes that the last `feed` found; empty when the two are equal. */
  dataStart = 0;
  dataEnd = 0;

  readonly #limits: ParserLimits;
  #at: number = At.SIZE_START;
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
  }

  reset(): void {
    this.state = "reading";
    this.failure = undefined;
    this.#at = At.SIZE_START;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
  }

  /**
   * Reads up to the end of one run of data, or of the body, or of the bytes.
   * @returns the index behind the last byte that was read.
   */
  feed(bytes: Uint8Array, start: number, end: number): number {
    this.dataStart = start;
    this.dataEnd = start;
    let index = start;
    while (index < end && this.state === "reading") {
      if (this.#at === At.DATA) {
        const take = Math.min(this.#left, end - index);
        this.dataStart = index;
        this.dataEnd = index + take;
        this.#left -= take;
        if (this.#left === 0) this.#at = At.DATA_CR;
        return index + take;
      }
      this.#step(bytes[index] as number);
      index++;
    }
    return index;
  }

  #step(byte: number): void {
    switch (this.#at) {
      case At.SIZE_START:
        this.#left = 0;
        this.#digits = 0;
        this.#at = At.SIZE;
        this.#size(byte);
        return;
      case At.SIZE:
        this.#size(byte);
        return;
      case At.EXTENSION:
        this.#extensionBytes++;
        if (byte === CR) this.#at = At.SIZE_LF;
        else if (FIELD_VALUE[byte] === 0) this.#fail(Fail.EXTENSION);
        else if (this.#extensionBytes > this.#limits.chunkExtensionBytes) this.#fail(Fail.EXTENSIONS);
        return;
      case At.SIZE_LF:
        if (byte !== LF) {
          this.#fail(Fail.LINE_END);
          return;
        }
        this.#at = this.#left === 0 ? At.TRAILER_START : At.DATA;
        return;
      case At.DATA_CR:
        if (byte !== CR) {
          this.#fail(Fail.LINE_END);
          return;
        }
        this.#at = At.DATA_LF;
        return;
      case At.DATA_LF:
        if (byte !== LF) {
          this.#fail(Fail.LINE_END);
          return;
        }
        this.#at = At.SIZE_START;
        return;
      case At.END_LF:
        if (byte !== LF) {
          this.#fail(Fail.LINE_END);
          return;
        }
        this.state = "done";
        return;
      default:
        this.#trailer(byte);
    }
  }

  #size(byte: number): void {
    const digit = HEX[byte] as number;
    if (digit !== 0xff && this.#digits < MAX_SIZE_DIGITS) {
      this.#left = this.#left * 16 + digit;
      this.#digits++;
    } else if (this.#digits === 0) this.#fail(Fail.SIZE);
    else if (byte === SEMICOLON) this.#at = At.EXTENSION;
    else if (byte === CR) this.#at = At.SIZE_LF;
    else this.#fail(Fail.SIZE);
  }

  #trailer(byte: number): void {
    this.#trailerBytes++;
    if (this.#trailerBytes > this.#limits.trailerBytes) {
      this.#fail(Fail.TRAILERS);
      return;
    }
    switch (this.#at) {
      case At.TRAILER_START:
        if (byte === CR) this.#at = At.END_LF;
        else if (byte === SPACE || byte === TAB || TOKEN_LOWER[byte] === 0) this.#fail(Fail.TRAILER);
        else this.#at = At.TRAILER_NAME;
        return;
      case At.TRAILER_NAME:
        if (byte === COLON) this.#at = At.TRAILER_VALUE;
        else if (TOKEN_LOWER[byte] === 0) this.#fail(Fail.TRAILER);
        return;
      case At.TRAILER_VALUE:
        if (byte === CR) this.#at = At.TRAILER_LF;
        else if (FIELD_VALUE[byte] === 0) this.#fail(Fail.TRAILER);
        return;
      default:
        if (byte !== LF) {
          this.#fail(Fail.LINE_END);
          return;
        }
        this.#at = At.TRAILER_START;
    }
  }

  #fail(reason: RequestFailure): void {
    this.state = "failed";
    this.failure = reason;
  }
}
