/** Reads HTTP responses as they come, however they are cut into pieces. Only what our server may send. */

export interface ResponseHead {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  /** Bytes of the body that follow. */
  readonly length: number;
}

export interface ResponseEvents {
  /** Whether the body of this response is left out (HEAD). */
  head(head: ResponseHead): "with body" | "without body";
  body(bytes: Uint8Array, offset: number): void;
  end(): void;
  /** What came is no response. */
  broken(why: string): void;
}

const MAX_HEAD = 16_384;

export class ResponseReader {
  readonly #events: ResponseEvents;
  #head = "";
  #left = 0;
  #offset = 0;
  #state: "head" | "body" | "broken" = "head";

  constructor(events: ResponseEvents) {
    this.#events = events;
  }

  /** Whether the last response is complete and nothing of another one has come. */
  get between(): boolean {
    return this.#state === "head" && this.#head === "";
  }

  read(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#state !== "broken") {
      if (this.#state === "head") at = this.#readHead(bytes, at);
      else at = this.#readBody(bytes, at);
    }
  }

  #readHead(bytes: Uint8Array, from: number): number {
    const before = this.#head.length;
    this.#head += Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.min(bytes.length - from, MAX_HEAD)).toString(
      "latin1",
    );
    const end = this.#head.indexOf("\r\n\r\n");
    if (end < 0) {
      if (this.#head.length > MAX_HEAD) this.#fail("a head without end");
      return bytes.length;
    }
    const used = end + 4 - before;
    const head = parseHead(this.#head.slice(0, end));
    this.#head = "";
    if (head === undefined) {
      this.#fail("a head that is none");
      return bytes.length;
    }
    this.#left = this.#events.head(head) === "with body" ? head.length : 0;
    this.#offset = 0;
    if (this.#left === 0) this.#events.end();
    else this.#state = "body";
    return from + used;
  }

  #readBody(bytes: Uint8Array, from: number): number {
    const length = Math.min(this.#left, bytes.length - from);
    this.#events.body(bytes.subarray(from, from + length), this.#offset);
    this.#offset += length;
    this.#left -= length;
    if (this.#left === 0) {
      this.#state = "head";
      this.#events.end();
    }
    return from + length;
  }

  #fail(why: string): void {
    this.#state = "broken";
    this.#events.broken(why);
  }
}

function parseHead(text: string): ResponseHead | undefined {
  const [first = "", ...lines] = text.split("\r\n");
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first);
  if (status === null) return undefined;
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon <= 0) return undefined;
    fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  const length = Number(fields.get("content-length") ?? (status[1] === "304" ? 0 : Number.NaN));
  return Number.isInteger(length) ? { status: Number(status[1]), fields, length } : undefined;
}
