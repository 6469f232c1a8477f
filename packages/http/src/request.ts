/** A request, as handlers see it. It is valid until its response has been sent. */

import type { SocketCalls } from "@toril/sockets";
import type { TextCodec } from "@toril/virtio/platform";
import type { BodyReader } from "./body-reader.ts";
import type { RequestParser } from "./parser.ts";
import { readUtf8 } from "./utf8.ts";

/** Whom the connection is with. */
export type PeerAddress = ReturnType<SocketCalls["getpeername"]>;

/** The request's body. It can be read once, in one of these ways. All throw HttpError for a bad or too long body. */
export interface RequestBody extends AsyncIterable<Uint8Array> {
  /** The next bytes, valid until the next read; `undefined` at the end. */
  read(): Promise<Uint8Array | undefined>;
  /** All of it. */
  bytes(): Promise<Uint8Array>;
  /** All of it as UTF-8 text. */
  text(): Promise<string>;
}

export interface HttpRequest {
  readonly method: string;
  /** The request target as it was sent. */
  readonly target: string;
  /** Path and query: the target in origin-form. `*` for the target of OPTIONS that names no path. */
  readonly path: string;
  readonly httpVersion: "1.0" | "1.1";
  readonly peer: PeerAddress;
  /** The value of a field, several joined with `, `; `undefined` when it was not sent. Case does not matter. */
  header(name: string): string | undefined;
  /** All fields in their order, names in lower case. */
  headers(): [name: string, value: string][];
  readonly body: RequestBody;
}

export class ParsedRequest implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly httpVersion: "1.0" | "1.1";
  readonly #parser: RequestParser;
  readonly #reader: BodyReader;
  readonly #text: TextCodec | undefined;
  readonly peer: PeerAddress;
  #life: "current" | "over" = "current";

  constructor(parser: RequestParser, reader: BodyReader, peer: PeerAddress, text: TextCodec | undefined) {
    this.method = parser.method;
    this.target = parser.target;
    this.httpVersion = parser.minorVersion === 0 ? "1.0" : "1.1";
    this.#parser = parser;
    this.#reader = reader;
    this.peer = peer;
    this.#text = text;
  }

  get path(): string {
    const { pathStart } = this.#current().framing;
    if (pathStart <= 0) return this.target;
    const path = this.target.slice(pathStart);
    return path.startsWith("/") ? path : `/${path}`;
  }

  get body(): RequestBody {
    this.#current();
    return {
      read: () => this.#read(),
      bytes: () => this.#bytes(),
      text: async () => {
        const bytes = await this.#bytes();
        return this.#text === undefined ? readUtf8(bytes) : this.#text.decode(bytes);
      },
      [Symbol.asyncIterator]: () => this.#iterate(),
    };
  }

  header(name: string): string | undefined {
    return this.#current().fields.find(name.toLowerCase());
  }

  headers(): [name: string, value: string][] {
    const { fields } = this.#current();
    return Array.from({ length: fields.count }, (_, index) => [fields.name(index), fields.value(index)]);
  }

  /** The server's: from now on the parser speaks of the next request. */
  end(): void {
    this.#life = "over";
  }

  #current(): RequestParser {
    if (this.#life === "over") throw new Error("this request is over: keep what you need of it before you answer");
    return this.#parser;
  }

  async #read(): Promise<Uint8Array | undefined> {
    this.#current();
    return this.#reader.read();
  }

  async *#iterate(): AsyncGenerator<Uint8Array, void, undefined> {
    for (let run = await this.#read(); run !== undefined; run = await this.#read()) yield run;
  }

  async #bytes(): Promise<Uint8Array> {
    const runs: Uint8Array[] = [];
    for await (const run of this.#iterate()) runs.push(run.slice());
    const [only] = runs;
    if (runs.length === 1 && only !== undefined) return only;
    const all = new Uint8Array(runs.reduce((sum, run) => sum + run.length, 0));
    let at = 0;
    for (const run of runs) {
      all.set(run, at);
      at += run.length;
    }
    return all;
  }
}
