/** Makes one response out of what a handler returned, and keeps its account: status, bytes, latency, what it holds. */
import { type HttpResponse, isLentBody, type LentBody, PreparedFields, type ResponseBody } from "./body.ts";
import type { AccessEntry } from "./environment.ts";
import type { BodyFraming } from "./head-builder.ts";
import type { Output } from "./output.ts";
import type { RequestParser } from "./parser.ts";
import type { PeerAddress } from "./request.ts";
import type { ServerContext } from "./server-context.ts";
import { utf8Length, writeUtf8 } from "./utf8.ts";

/** Text up to this is written straight behind the head. */
const SMALL_TEXT = 8 * 1024;

export class Responder {
  /** What the last response said about the connection. */
  connection: "keep" | "close" = "keep";
  readonly #context: ServerContext;
  readonly #output: Output;
  readonly #peer: PeerAddress;
  #parser: RequestParser | undefined;
  #phase: "none" | "begun" | "responding" = "none";
  #status = 0;
  #startedAt = 0;
  #sentBefore = 0;
  #lent: LentBody | undefined;

  constructor(context: ServerContext, output: Output, peer: PeerAddress) {
    this.#context = context;
    this.#output = output;
    this.#peer = peer;
  }

  /** Whether a request waits for its response. */
  get open(): boolean {
    return this.#phase !== "none";
  }

  /** Whether bytes of a response may be on their way already. */
  get begun(): boolean {
    return this.#phase === "responding";
  }

  begin(parser: RequestParser): void {
    this.#parser = parser;
    this.#phase = "begun";
    this.#startedAt = this.#context.clock.now();
    this.#sentBefore = this.#output.sent;
  }

  /** A response of the server's own. */
  explain(status: number, reason: string): HttpResponse {
    return { status, headers: { "Content-Type": "text/plain; charset=utf-8" }, body: `${reason}\n` };
  }

  /** `undefined` when all was taken at once. @throws what `Output.send` throws */
  respond(response: HttpResponse, wish: "keep" | "close"): Promise<void> | undefined {
    this.#phase = "responding";
    const { body } = response;
    if (body !== undefined && typeof body === "object" && isLentBody(body)) this.#lent = body;
    try {
      this.#buildHead(response, wish);
    } catch (error) {
      this.#context.counters.handlerErrors++;
      this.#context.log.error("the handler's response cannot be sent", { error: String(error) });
      return this.respond(this.explain(500, "the server failed to answer this request"), "close");
    }
    if (body === undefined || this.#bodyless(response.status)) return this.#output.sendBuilt();
    if (typeof body === "string") return this.#sendText(body);
    return this.#output.send(body, this.#parser?.minorVersion === 0 ? "plain" : "chunked");
  }

  /** The response is over. Called once for each `begin`; more calls do nothing. */
  end(outcome: "sent" | "cut-off"): void {
    if (this.#phase === "none") return;
    const { counters, onAccess, clock } = this.#context;
    const begun = this.#phase === "responding";
    this.#phase = "none";
    this.#lent?.close();
    this.#lent = undefined;
    if (outcome === "cut-off") counters.cutOff++;
    if (begun)
      counters.responses[Math.floor(this.#status / 100)] =
        (counters.responses[Math.floor(this.#status / 100)] ?? 0) + 1;
    const parser = this.#parser;
    if (onAccess === undefined || !begun || parser === undefined) return;
    const readable = parser.state === "complete";
    this.#report(onAccess, {
      peer: this.#peer,
      method: readable ? parser.method : "",
      target: readable ? parser.target : "",
      httpVersion: parser.minorVersion === 0 ? "1.0" : "1.1",
      status: this.#status,
      bytes: this.#output.sent - this.#sentBefore,
      latencyMs: clock.now() - this.#startedAt,
      outcome,
    });
  }

  /** A log that fails costs its line, not the connection. */
  #report(onAccess: (entry: AccessEntry) => void, entry: AccessEntry): void {
    try {
      onAccess(entry);
    } catch (error) {
      this.#context.log.error("the access hook failed", { error: String(error) });
    }
  }

  #buildHead(response: HttpResponse, wish: "keep" | "close"): void {
    const { builder, dates } = this.#context;
    const { status, headers } = response;
    const framing = this.#framing(status, response.body);
    const ends = wish === "close" || framing.kind === "until-close" || saysClose(headers);
    this.#status = status;
    this.connection = ends ? "close" : "keep";
    const kept = this.#parser?.minorVersion === 0 ? "keep-alive" : "default";
    builder.clear();
    builder.head(status, headers, dates.now(), framing, ends ? "close" : kept);
  }

  #bodyless(status: number): boolean {
    return this.#parser?.method === "HEAD" || status === 204 || status === 304;
  }

  /** RFC 9110 §8.6, RFC 9112 §6.1: no length with 204; with HEAD and 304 the one that a GET would have had. */
  #framing(status: number, body: ResponseBody | undefined): BodyFraming {
    if (status === 204 || status === 304) return { kind: "none" };
    if (body === undefined) return this.#bodyless(status) ? { kind: "none" } : { kind: "length", length: 0 };
    if (typeof body === "string") return { kind: "length", length: utf8Length(body) };
    if (body instanceof Uint8Array || isLentBody(body)) return { kind: "length", length: checkedLength(body.length) };
    return this.#parser?.minorVersion === 0 ? { kind: "until-close" } : { kind: "chunked" };
  }

  #sendText(text: string): Promise<void> | undefined {
    const { builder, text: codec } = this.#context;
    const length = utf8Length(text);
    if (length <= SMALL_TEXT) {
      builder.appendText(text, length);
      return this.#output.sendBuilt();
    }
    if (codec !== undefined) return this.#output.send(codec.encode(text), "plain");
    const bytes = new Uint8Array(length);
    writeUtf8(text, bytes, 0);
    return this.#output.send(bytes, "plain");
  }
}

/** Whether the handler wants the connection closed; prepared fields cannot say so. */
function saysClose(headers: HttpResponse["headers"]): boolean {
  if (headers === undefined || headers instanceof PreparedFields) return false;
  const own = headers["connection"] ?? headers["Connection"];
  return own !== undefined && String(own).toLowerCase() === "close";
}

function checkedLength(length: number): number {
  if (Number.isSafeInteger(length) && length >= 0) return length;
  throw new TypeError(`a body of ${length} bytes`);
}
