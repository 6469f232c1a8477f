/**
 * The head of an HTTP/1.1 request (RFC 9112 §2 to §7.1), byte by byte, strictly. Bytes may come in any pieces: the result
 * is the same. The head is copied once, into the parser's own buffer; names are put into lower case on the way. Values
 * become strings when somebody asks for them.
 *
 * Strict means: what two implementations could read differently is refused. That is what request smuggling lives on.
 */
import {
  COLON,
  CR,
  FIELD_VALUE,
  LF,
  latin1,
  SPACE,
  spells,
  TAB,
  TARGET,
  TARGET_PLAIN,
  TOKEN_LOWER,
  VALUE_PLAIN,
} from "./chars.ts";
import type { RequestFailure } from "./failure.ts";
import { FieldTable } from "./field-table.ts";
import { Framing } from "./framing.ts";
import { HeadFailure } from "./head-failures.ts";
import type { ParserLimits } from "./limits.ts";

/** Where in the head the next byte belongs. */
const At = {
  START: 0,
  START_LF: 1,
  METHOD: 2,
  TARGET: 3,
  VERSION: 4,
  REQUEST_LINE_LF: 5,
  FIELD_START: 6,
  NAME: 7,
  VALUE_START: 8,
  VALUE: 9,
  FIELD_LF: 10,
  END_LF: 11,
} as const;

/** RFC 9112 §2.2: a server should ignore at least one empty line before the request line. */
const MAX_EMPTY_LINES = 4;
/** Longer than any registered method. */
const MAX_METHOD = 32;
const INITIAL_BUFFER = 1024;
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
const VERSION = "HTTP/1.1";

export class RequestParser {
  state: "reading" | "complete" | "failed" = "reading";
  /** Set when `state` is `failed`. */
  failure: RequestFailure | undefined = undefined;

  // Set when `state` is `complete`.
  method = "";
  /** As it was sent. */
  target = "";
  /** The digit after `HTTP/1.`. */
  minorVersion = 1;
  readonly fields: FieldTable;
  /** What the fields say about body and connection. */
  readonly framing: Framing = new Framing();

  readonly #limits: ParserLimits;
  #head: Uint8Array;
  #length = 0;
  #at: number = At.START;
  #emptyLines = 0;
  /** Where the element that is being read begins in `#head`. */
  #mark = 0;
  #nameEnd = 0;
  #valueStart = 0;
  /** Behind the last byte of the value that is no blank. */
  #valueEnd = 0;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
    this.#head = new Uint8Array(Math.min(INITIAL_BUFFER, limits.headBytes));
    this.fields = new FieldTable(limits.fields);
  }

  /** Whether any byte of a request has come. */
  get started(): boolean {
    return this.#at !== At.START || this.#emptyLines > 0;
  }

  /** Makes ready for the next request. What the last one said is gone. */
  reset(): void {
    this.state = "reading";
    this.failure = undefined;
    this.#at = At.START;
    this.#length = 0;
    this.#emptyLines = 0;
    this.fields.clear();
  }

  /**
   * Reads bytes from `start` up to `end`, and no further than the end of the head.
   * @returns the index behind the last byte that was read.
   */
  feed(bytes: Uint8Array, start: number, end: number): number {
    let index = start;
    while (index < end && this.state === "reading") {
      index = this.#skim(bytes, index, end);
      if (index === end) break;
      this.#step(bytes[index] as number);
      index++;
    }
    return index;
  }

  /** Keeps the run of plain bytes at `start`, where there is one: most of a head is that. Everything else is `#step`'s. */
  #skim(bytes: Uint8Array, start: number, end: number): number {
    let plain: Uint8Array;
    let room = this.#head.length - this.#length;
    switch (this.#at) {
      case At.VALUE:
        plain = VALUE_PLAIN;
        break;
      case At.NAME:
        plain = TOKEN_LOWER;
        break;
      case At.TARGET:
        plain = TARGET_PLAIN;
        room = Math.min(room, this.#limits.targetBytes - (this.#length - this.#mark));
        break;
      default:
        return start;
    }
    const stop = Math.min(end, start + room);
    const head = this.#head;
    let length = this.#length;
    let index = start;
    while (index < stop) {
      const kept = plain[bytes[index] as number] as number;
      if (kept === 0) break;
      head[length++] = kept;
      index++;
    }
    this.#length = length;
    if (index > start && plain === VALUE_PLAIN) this.#valueEnd = length;
    return index;
  }

  #step(byte: number): void {
    switch (this.#at) {
      case At.START:
        if (byte === CR) this.#at = At.START_LF;
        else {
          this.#at = At.METHOD;
          this.#mark = 0;
          this.#step(byte);
        }
        return;
      case At.START_LF:
        this.#emptyLines++;
        if (byte !== LF) {
          this.#fail(HeadFailure.LINE_END);
          return;
        }
        if (this.#emptyLines > MAX_EMPTY_LINES) {
          this.#fail(HeadFailure.EMPTY_LINES);
          return;
        }
        this.#at = At.START;
        return;
      case At.METHOD:
        if (byte === SPACE && this.#length > 0) {
          this.method = this.#knownOrNew(METHODS);
          this.#at = At.TARGET;
        } else if (TOKEN_LOWER[byte] === 0) this.#fail(HeadFailure.METHOD);
        else if (this.#length === MAX_METHOD) this.#fail(HeadFailure.METHOD_LONG);
        else this.#keep(byte);
        return;
      case At.TARGET:
        if (byte === SPACE && this.#length > this.#mark) this.#endOfTarget();
        else if (TARGET[byte] === 0) this.#fail(HeadFailure.TARGET);
        else if (this.#length - this.#mark === this.#limits.targetBytes) this.#fail(HeadFailure.TARGET_LONG);
        else this.#keep(byte);
        return;
      case At.VERSION:
        this.#stepVersion(byte);
        return;
      case At.REQUEST_LINE_LF:
      case At.FIELD_LF:
        if (byte !== LF) {
          this.#fail(HeadFailure.LINE_END);
          return;
        }
        this.#at = At.FIELD_START;
        return;
      case At.FIELD_START:
        if (byte === CR) this.#at = At.END_LF;
        // RFC 9112 §5.2: a server must reject obs-fold (or replace it). §2.2: no blank before the first field either.
        else if (byte === SPACE || byte === TAB) this.#fail(HeadFailure.FOLDED);
        else {
          this.#at = At.NAME;
          this.#mark = this.#length;
          this.#step(byte);
        }
        return;
      case At.NAME: {
        const lower = TOKEN_LOWER[byte] as number;
        if (lower !== 0) this.#keep(lower);
        // RFC 9112 §5.1: a server must reject blanks between name and colon.
        else if (byte !== COLON || this.#length === this.#mark) this.#fail(HeadFailure.NAME);
        else {
          this.#nameEnd = this.#length;
          this.#at = At.VALUE_START;
        }
        return;
      }
      case At.VALUE_START:
        // Kept, so that the limit counts them.
        if (byte === SPACE || byte === TAB) {
          this.#keep(byte);
          return;
        }
        this.#valueStart = this.#length;
        this.#valueEnd = this.#length;
        this.#at = At.VALUE;
        this.#step(byte);
        return;
      case At.VALUE:
        if (byte === CR) this.#endOfField();
        else if (FIELD_VALUE[byte] === 0) this.#fail(HeadFailure.VALUE);
        else {
          this.#keep(byte);
          if (byte !== SPACE && byte !== TAB) this.#valueEnd = this.#length;
        }
        return;
      default:
        if (byte !== LF) {
          this.#fail(HeadFailure.LINE_END);
          return;
        }
        this.#complete();
    }
  }

  #stepVersion(byte: number): void {
    const position = this.#length - this.#mark;
    if (position < VERSION.length) {
      const digit = position === 5 || position === 7;
      const fits = digit ? byte >= 0x30 && byte <= 0x39 : byte === VERSION.charCodeAt(position);
      if (fits) this.#keep(byte);
      else this.#fail(HeadFailure.VERSION);
      return;
    }
    if (byte !== CR) {
      this.#fail(HeadFailure.VERSION);
      return;
    }
    this.minorVersion = (this.#head[this.#mark + 7] as number) - 0x30;
    if (this.#head[this.#mark + 5] !== 0x31 || this.minorVersion > 1) {
      this.#fail(HeadFailure.VERSION_OTHER);
      return;
    }
    this.#at = At.REQUEST_LINE_LF;
  }

  /** The element that ends here as a string, without making one when it is in the list. */
  #knownOrNew(known: readonly string[]): string {
    const start = this.#mark;
    this.#mark = this.#length;
    for (const text of known) if (spells(this.#head, start, this.#length, text)) return text;
    return latin1(this.#head, start, this.#length);
  }

  #endOfTarget(): void {
    // Clients ask for the same thing again and again: then last time's string will do.
    if (spells(this.#head, this.#mark, this.#length, this.target)) this.#mark = this.#length;
    else this.target = this.#knownOrNew([]);
    this.#at = At.VERSION;
  }

  #endOfField(): void {
    if (!this.fields.add(this.#mark, this.#nameEnd, this.#valueStart, this.#valueEnd, this.#length)) {
      this.#fail(HeadFailure.FIELDS);
      return;
    }
    this.#at = At.FIELD_LF;
  }

  #complete(): void {
    this.fields.bytes = this.#head;
    const wrong = this.framing.read(this.fields, this.method, this.target, this.minorVersion);
    if (wrong !== undefined) {
      this.#fail(wrong);
      return;
    }
    this.state = "complete";
  }

  #keep(byte: number): void {
    if (this.#length === this.#head.length && !this.#grow()) {
      this.#fail(this.#at === At.TARGET ? HeadFailure.TARGET_LONG : HeadFailure.HEAD_LONG);
      return;
    }
    this.#head[this.#length] = byte;
    this.#length++;
  }

  #grow(): boolean {
    const size = Math.min(this.#head.length * 2, this.#limits.headBytes);
    if (size === this.#head.length) return false;
    const grown = new Uint8Array(size);
    grown.set(this.#head);
    this.#head = grown;
    return true;
  }

  #fail(reason: RequestFailure): void {
    this.state = "failed";
    this.failure = reason;
  }
}
