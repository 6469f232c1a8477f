/**
 * The head of a response, built straight into one reusable buffer: status line, Date, the handler's fields, and the
 * fields that frame the message. What a handler gives is checked: it cannot end a line.
 */

import { type FieldValue, type HttpResponse, PreparedFields } from "./body.ts";
import { FIELD_VALUE, TOKEN_LOWER } from "./chars.ts";
import { reasonPhrase } from "./status.ts";
import { writeUtf8 } from "./utf8.ts";

/** A head that a handler makes stays under this; more is its bug. */
const MAX_HEAD = 64 * 1024;

/** How the end of the body is told. */
export type BodyFraming =
  /** The status or the method allows no body, and no length is told. */
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  /** An HTTP/1.0 client reads until the connection closes. */
  | { readonly kind: "until-close" };

/** Fields that only the server writes. */
export const OURS: ReadonlySet<string> = new Set(["transfer-encoding", "connection", "content-length", "date"]);

export class HeadBuilder {
  bytes: Uint8Array;
  length = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  /** Room behind what is built. */
  get room(): number {
    return this.bytes.length - this.length;
  }

  clear(): void {
    this.length = 0;
  }

  /**
   * Appends a whole head. Throws before anything is sent, so that the answer can be a 500 instead.
   * @throws TypeError for a status, a name or a value that HTTP cannot carry, RangeError for too many of them
   */
  head(
    status: number,
    fields: HttpResponse["headers"],
    date: string,
    framing: BodyFraming,
    connection: "close" | "keep-alive" | "default",
  ): void {
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new TypeError(`${status} is no final status: use 200 to 599`);
    }
    this.ascii("HTTP/1.1 ");
    this.ascii(String(status));
    this.ascii(" ");
    this.ascii(reasonPhrase(status));
    this.ascii("\r\nDate: ");
    if (fields instanceof PreparedFields) {
      this.ascii(date);
      this.ascii("\r\n");
      this.append(fields.bytes);
    } else {
      this.ascii(fields === undefined ? date : ownDate(fields, date));
      this.ascii("\r\n");
      for (const name in fields) this.field(name, fields[name], framing);
    }
    if (framing.kind === "length") {
      this.ascii("Content-Length: ");
      this.ascii(String(framing.length));
      this.ascii("\r\n");
    } else if (framing.kind === "chunked") this.ascii("Transfer-Encoding: chunked\r\n");
    if (connection === "close") this.ascii("Connection: close\r\n");
    else if (connection === "keep-alive") this.ascii("Connection: keep-alive\r\n");
    this.ascii("\r\n");
  }

  /** Appends one field of a handler's. @throws TypeError, RangeError as `head` does */
  field(name: string, value: FieldValue | undefined, framing: BodyFraming): void {
    if (value === undefined) return;
    const lower = name.toLowerCase();
    if (OURS.has(lower)) {
      // A length without a body: the answer to HEAD, and 304.
      if (lower !== "content-length" || framing.kind !== "none") return;
      if (!/^\d{1,15}$/.test(String(value))) throw new TypeError(`Content-Length ${String(value)} is not a length`);
    }
    if (typeof value === "object") {
      for (const one of value) this.#line(name, one);
    } else this.#line(name, typeof value === "string" ? value : String(value));
  }

  #line(name: string, value: string): void {
    if (name.length === 0) throw new TypeError("a field without a name");
    this.#reserve(name.length + value.length + 4);
    for (let i = 0; i < name.length; i++) {
      const code = name.charCodeAt(i);
      if (code > 0x7f || TOKEN_LOWER[code] === 0) throw new TypeError(`${JSON.stringify(name)} is not a field name`);
      this.bytes[this.length++] = code;
    }
    this.ascii(": ");
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      // A CR or LF here would let whoever chose the value write fields, or a response, of their own.
      if (code > 0xff || FIELD_VALUE[code] === 0) {
        throw new TypeError(`the value of ${name} holds a character (code ${code}) that a field cannot carry`);
      }
      this.bytes[this.length++] = code;
    }
    this.ascii("\r\n");
  }

  /** Appends text that is known to be ASCII. */
  ascii(text: string): void {
    this.#reserve(text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** Appends text as UTF-8. @param length what utf8Length says of it */
  appendText(text: string, length: number): void {
    this.#reserve(length);
    this.length = writeUtf8(text, this.bytes, this.length);
  }

  append(part: Uint8Array): void {
    this.#reserve(part.length);
    this.bytes.set(part, this.length);
    this.length += part.length;
  }

  #reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    if (needed > MAX_HEAD) throw new RangeError(`a response head of more than ${MAX_HEAD} bytes`);
    const grown = new Uint8Array(Math.min(MAX_HEAD, Math.max(needed, this.bytes.length * 2)));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}

function ownDate(fields: Readonly<Record<string, FieldValue>>, date: string): string {
  const own = fields["date"] ?? fields["Date"];
  if (typeof own !== "string") return date;
  if (!/^[ -~]+$/.test(own)) throw new TypeError("the value of Date holds a character that a field cannot carry");
  return own;
}
