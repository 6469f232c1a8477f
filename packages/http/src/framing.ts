/** What the fields of a request say about its body, its connection and its host (RFC 9112 §3.2, §6 and §9.3). */
import { COMMA, HOST, isDigit, SPACE, spellsIgnoringCase, TAB } from "./chars.ts";
import type { RequestFailure } from "./failure.ts";
import type { FieldTable } from "./field-table.ts";

const failure = (status: number, reason: string): RequestFailure => ({ status, reason });
const Fail = {
  LENGTH: failure(400, "Content-Length is not a number"),
  LENGTHS: failure(400, "Content-Length is given more than once"),
  LENGTH_AND_CODING: failure(400, "Content-Length and Transfer-Encoding are both given"),
  TAB: failure(400, "a tab in a field that frames the message"),
  CODINGS: failure(400, "Transfer-Encoding is given more than once"),
  CODING_1_0: failure(400, "Transfer-Encoding in an HTTP/1.0 request"),
  CODING_NOT_CHUNKED: failure(400, "the last transfer coding is not chunked"),
  CODING_TWICE: failure(400, "chunked is applied more than once"),
  CODING_UNKNOWN: failure(501, "only the transfer coding chunked is known here"),
  NO_HOST: failure(400, "an HTTP/1.1 request without Host"),
  HOSTS: failure(400, "Host is given more than once"),
  HOST: failure(400, "Host is not a host with an optional port"),
  EXPECT: failure(417, "only 100-continue can be expected"),
  TARGET: failure(400, "the request target has none of the forms that its method allows"),
  TUNNEL: failure(501, "no tunnels here"),
} as const;

/** 2^53 has 16 digits: 15 always fit. A longer body would be refused for its length anyway. */
const MAX_LENGTH_DIGITS = 15;

export class Framing {
  body: "none" | "length" | "chunked" = "none";
  /** With `length`. */
  contentLength = 0;
  /** Whether the client wants the connection kept. */
  connection: "keep" | "close" = "keep";
  expect: "nothing" | "100-continue" = "nothing";
  /** Where in the target its path begins: behind scheme and authority of the absolute form. -1: it has none (`*`). */
  pathStart = 0;
  #table: FieldTable | undefined;
  #closes = 0;
  #keeps = 0;

  /** @returns what is wrong. */
  read(table: FieldTable, method: string, target: string, minorVersion: number): RequestFailure | undefined {
    this.#table = table;
    this.body = "none";
    this.contentLength = 0;
    this.#closes = 0;
    this.#keeps = 0;
    this.expect = "nothing";
    let lengths = 0;
    let codings = 0;
    let hosts = 0;
    let wrong: RequestFailure | undefined;
    for (let index = 0; index < table.count && wrong === undefined; index++) {
      switch (table.nameLength(index)) {
        case 4:
          if (!table.isNamed(index, "host")) break;
          hosts++;
          if (!this.#isHost(table.bytes, table.valueStart(index), table.valueEnd(index))) wrong = Fail.HOST;
          break;
        case 6:
          if (table.isNamed(index, "expect") && minorVersion > 0) wrong = this.#expect(index);
          break;
        case 10:
          if (table.isNamed(index, "connection")) this.#connection(index);
          break;
        case 14:
          if (!table.isNamed(index, "content-length")) break;
          lengths++;
          wrong = table.hasTab(index) ? Fail.TAB : this.#length(index);
          break;
        case 17:
          if (!table.isNamed(index, "transfer-encoding")) break;
          codings++;
          // RFC 9110 §5.5 trims it like a space; llhttp does not, and reads "chunked<tab>" as another coding.
          if (table.hasTab(index)) return Fail.TAB;
          wrong = minorVersion === 0 ? Fail.CODING_1_0 : this.#coding(index);
          break;
        default:
      }
    }
    if (wrong !== undefined) return wrong;
    // RFC 9112 §6.3: either of these is an attempt at smuggling, or an error that works like one.
    if (lengths > 1) return Fail.LENGTHS;
    if (codings > 1) return Fail.CODINGS;
    if (lengths + codings > 1) return Fail.LENGTH_AND_CODING;
    // RFC 9112 §3.2: 400 to a 1.1 request without Host, and to any request with more than one.
    if (hosts > 1) return Fail.HOSTS;
    if (hosts === 0 && minorVersion > 0) return Fail.NO_HOST;
    // RFC 9112 §9.3: close wins; else 1.1 keeps, 1.0 keeps when asked to.
    this.connection = this.#closes === 0 && (minorVersion > 0 || this.#keeps > 0) ? "keep" : "close";
    return this.#target(method, target);
  }

  #length(index: number): RequestFailure | undefined {
    const table = this.#table as FieldTable;
    const start = table.valueStart(index);
    const end = table.valueEnd(index);
    if (start === end || end - start > MAX_LENGTH_DIGITS) return Fail.LENGTH;
    let length = 0;
    for (let i = start; i < end; i++) {
      const byte = table.bytes[i] as number;
      if (!isDigit(byte)) return Fail.LENGTH;
      length = length * 10 + byte - 0x30;
    }
    this.contentLength = length;
    if (length > 0) this.body = "length";
    return undefined;
  }

  #coding(index: number): RequestFailure | undefined {
    const table = this.#table as FieldTable;
    const start = table.valueStart(index);
    const end = table.valueEnd(index);
    if (spellsIgnoringCase(table.bytes, start, end, "chunked")) {
      this.body = "chunked";
      return undefined;
    }
    let last = "other";
    let chunked = 0;
    this.#eachElement(start, end, (from, to) => {
      last = spellsIgnoringCase(table.bytes, from, to, "chunked") ? "chunked" : "other";
      if (last === "chunked") chunked++;
    });
    if (chunked > 1) return Fail.CODING_TWICE;
    // RFC 9112 §6.3 item 4: a request whose last coding is not chunked has no reliable length.
    if (chunked === 1 && last === "other") return Fail.CODING_NOT_CHUNKED;
    return Fail.CODING_UNKNOWN;
  }

  #connection(index: number): void {
    const table = this.#table as FieldTable;
    this.#eachElement(table.valueStart(index), table.valueEnd(index), (from, to) => {
      if (spellsIgnoringCase(table.bytes, from, to, "close")) this.#closes++;
      else if (spellsIgnoringCase(table.bytes, from, to, "keep-alive")) this.#keeps++;
    });
  }

  #expect(index: number): RequestFailure | undefined {
    const table = this.#table as FieldTable;
    if (!spellsIgnoringCase(table.bytes, table.valueStart(index), table.valueEnd(index), "100-continue")) {
      return Fail.EXPECT;
    }
    this.expect = "100-continue";
    return undefined;
  }

  /** RFC 9112 §3.2: origin-form, absolute-form, `*` for OPTIONS. */
  #target(method: string, target: string): RequestFailure | undefined {
    this.pathStart = 0;
    if (method === "CONNECT") return Fail.TUNNEL;
    if (target.charCodeAt(0) === 0x2f) return undefined;
    if (target === "*" && method === "OPTIONS") {
      this.pathStart = -1;
      return undefined;
    }
    const authority = /^https?:\/\//i.exec(target)?.[0].length ?? 0;
    if (authority === 0) return Fail.TARGET;
    let path = authority;
    while (path < target.length && target[path] !== "/" && target[path] !== "?") path++;
    if (path === authority) return Fail.TARGET;
    // RFC 9110 §4.2.4: user information is an error. It has no byte of a host, so the same check finds it.
    for (let i = authority; i < path; i++) if (HOST[target.charCodeAt(i)] !== 1) return Fail.TARGET;
    this.pathStart = path;
    return undefined;
  }

  /** uri-host [ ":" port ]; empty is allowed (RFC 9112 §3.2). */
  #isHost(bytes: Uint8Array, start: number, end: number): boolean {
    let inBrackets = false;
    let inPort = false;
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number;
      if (HOST[byte] === 0) return false;
      if (inPort) {
        if (!isDigit(byte)) return false;
      } else if (byte === 0x5b) {
        if (i !== start) return false;
        inBrackets = true;
      } else if (byte === 0x5d) {
        if (!inBrackets) return false;
        inBrackets = false;
      } else if (byte === 0x3a && !inBrackets) inPort = true;
    }
    return !inBrackets;
  }

  /** The elements of a comma-separated list, without the blanks around them; empty ones are left out (RFC 9110 §5.6.1). */
  #eachElement(start: number, end: number, visit: (from: number, to: number) => void): void {
    const { bytes } = this.#table as FieldTable;
    let from = start;
    for (let i = start; i <= end; i++) {
      if (i < end && bytes[i] !== COMMA) continue;
      let to = i;
      while (from < to && isBlank(bytes[from] as number)) from++;
      while (from < to && isBlank(bytes[to - 1] as number)) to--;
      if (from < to) visit(from, to);
      from = i + 1;
    }
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}
