/**
 * The chunked transfer coding (RFC 9112 §7.1), decoded in place: each `feed` names one run of body bytes in what it was
 * given. Extensions and trailer fields are checked, limited and dropped.
 */
import { COLON, CR, FIELD_VALUE, HEX, LF, SEMICOLON, SPACE, spells, TAB, TOKEN_LOWER } from "./chars.ts";
import type { RequestFailure } from "./failure.ts";
import type { ParserLimits } from "./limits.ts";

const At = {
  SIZE_START: 0,
  SIZE: 1,
  EXTENSION_NAME_START: 2,
  EXTENSION_NAME: 3,
  EXTENSION_VALUE_START: 4,
  EXTENSION_VALUE: 5,
  EXTENSION_QUOTED: 6,
  EXTENSION_ESCAPED: 7,
  EXTENSION_QUOTE_END: 8,
  SIZE_LF: 9,
  DATA: 10,
  DATA_CR: 11,
  DATA_LF: 12,
  TRAILER_START: 13,
  TRAILER_NAME: 14,
  TRAILER_VALUE: 15,
  TRAILER_LF: 16,
  END_LF: 17,
} as const;

const QUOTE = 0x22;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

/** 12 digits are 2^48: more than any body, and exact in a number. */
const MAX_SIZE_DIGITS = 12;

const FRAMING_NAMES = ["transfer-encoding", "content-length", "host"];
const LONGEST_FRAMING_NAME = 17;

const failure = (reason: string, status = 400): RequestFailure => ({ status, reason });
const Fail = {
  SIZE: failure("a chunk size is not a hexadecimal number"),
  EXTENSION: failure("a chunk extension is not a name with an optional value"),
  EXTENSIONS: failure("the chunk extensions are too long"),
  LINE_END: failure("a line of the chunked body does not end in CR LF"),
  TRAILER: failure("a trailer field is not well formed"),
  FRAMING: failure("a trailer field frames or routes the message"),
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
  /** The beginning of a trailer field's name, in lower case. */
  readonly #name = new Uint8Array(LONGEST_FRAMING_NAME + 1);
  #nameLength = 0;

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
      case At.TRAILER_START:
      case At.TRAILER_NAME:
      case At.TRAILER_VALUE:
      case At.TRAILER_LF:
        this.#trailer(byte);
        return;
      default:
        this.#extension(byte);
    }
  }

  /**
   * RFC 9112 §7.1.1: `;name`, `;name=token` or `;name="quoted"`. Nothing looser: a reader that ends an extension elsewhere
   * than we do would end the chunk elsewhere.
   */
  #extension(byte: number): void {
    this.#extensionBytes++;
    if (this.#extensionBytes > this.#limits.chunkExtensionBytes) {
      this.#fail(Fail.EXTENSIONS);
      return;
    }
    const token = TOKEN_LOWER[byte] !== 0;
    switch (this.#at) {
      case At.EXTENSION_NAME_START:
        if (token) this.#at = At.EXTENSION_NAME;
        else this.#fail(Fail.EXTENSION);
        return;
      case At.EXTENSION_NAME:
        if (byte === EQUALS) this.#at = At.EXTENSION_VALUE_START;
        else if (!token) this.#endOfExtension(byte);
        return;
      case At.EXTENSION_VALUE_START:
        if (byte === QUOTE) this.#at = At.EXTENSION_QUOTED;
        else if (token) this.#at = At.EXTENSION_VALUE;
        else this.#fail(Fail.EXTENSION);
        return;
      case At.EXTENSION_VALUE:
        if (!token) this.#endOfExtension(byte);
        return;
      case At.EXTENSION_QUOTED:
        if (byte === QUOTE) this.#at = At.EXTENSION_QUOTE_END;
        else if (byte === BACKSLASH) this.#at = At.EXTENSION_ESCAPED;
        else if (FIELD_VALUE[byte] === 0) this.#fail(Fail.EXTENSION);
        return;
      case At.EXTENSION_ESCAPED:
        if (FIELD_VALUE[byte] === 0) this.#fail(Fail.EXTENSION);
        else this.#at = At.EXTENSION_QUOTED;
        return;
      default:
        this.#endOfExtension(byte);
    }
  }

  #endOfExtension(byte: number): void {
    if (byte === SEMICOLON) this.#at = At.EXTENSION_NAME_START;
    else if (byte === CR) this.#at = At.SIZE_LF;
    else this.#fail(Fail.EXTENSION);
  }

  #size(byte: number): void {
    const digit = HEX[byte] as number;
    if (digit !== 0xff && this.#digits < MAX_SIZE_DIGITS) {
      this.#left = this.#left * 16 + digit;
      this.#digits++;
    } else if (this.#digits === 0) this.#fail(Fail.SIZE);
    else if (byte === SEMICOLON) this.#at = At.EXTENSION_NAME_START;
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
        else {
          this.#at = At.TRAILER_NAME;
          this.#name[0] = TOKEN_LOWER[byte] as number;
          this.#nameLength = 1;
        }
        return;
      case At.TRAILER_NAME:
        if (byte === COLON) this.#endOfTrailerName();
        else if (TOKEN_LOWER[byte] === 0) this.#fail(Fail.TRAILER);
        else {
          if (this.#nameLength < this.#name.length) this.#name[this.#nameLength] = TOKEN_LOWER[byte] as number;
          this.#nameLength++;
        }
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

  /** RFC 9110 §6.5.1: what frames or routes a message cannot stand behind it. */
  #endOfTrailerName(): void {
    const forbidden = FRAMING_NAMES.some((name) => spells(this.#name, 0, this.#nameLength, name));
    if (forbidden) this.#fail(Fail.FRAMING);
    else this.#at = At.TRAILER_VALUE;
  }

  #fail(reason: RequestFailure): void {
    this.state = "failed";
    this.failure = reason;
  }
}
