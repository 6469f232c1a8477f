/**
 * One connection: reads a request, lets the handler answer, sends the answer, and so on until one side has enough.
 * Requests are answered one after the other, so pipelined ones are answered in their order.
 *
 * As long as bytes are there and the connection takes them, nothing is awaited. After BURST requests the thread lets
 * others run.
 */
import type { Socket, SocketCalls } from "@toril/sockets";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { HttpResponse } from "./body.ts";
import { BodyReader } from "./body-reader.ts";
import { Deadline, type Phase } from "./deadline.ts";
import type { Desk } from "./desk.ts";
import { HttpError } from "./failure.ts";
import { Input } from "./input.ts";
import { BodyError } from "./lending.ts";
import { Output } from "./output.ts";
import type { RequestParser } from "./parser.ts";
import { ParsedRequest, type PeerAddress } from "./request.ts";
import { Responder } from "./responder.ts";
import type { ServerContext } from "./server-context.ts";

/** Requests that are answered without a pause. */
const BURST = 32;
/** How long a client may take to notice that its connection ends, and how much it may still send. */
const LINGER_MS = 2_000;
const LINGER_BYTES = 256 * 1024;
/** What becomes of the connection after a response. */
type Wish = "keep" | "close";
type Next = Wish | "linger";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

export class HttpConnection {
  readonly #context: ServerContext;
  readonly #sockets: SocketCalls;
  readonly #socket: Socket;
  readonly #deadline: Deadline;
  readonly #desk: Desk;
  readonly #parser: RequestParser;
  readonly #input: Input;
  readonly #output: Output;
  readonly #reader: BodyReader;
  readonly #responder: Responder;
  #activity: "waiting" | "answering" = "waiting";
  /** Requests answered since this thread last waited. */
  #burst = 0;
  #life: "open" | "ended" = "open";
  readonly #peer: PeerAddress;

  constructor(context: ServerContext, sockets: SocketCalls, socket: Socket) {
    const { limits } = context;
    this.#context = context;
    this.#sockets = sockets;
    this.#socket = socket;
    this.#peer = sockets.getpeername(socket);
    this.#deadline = new Deadline(context.clock, (phase) => this.#expired(phase));
    this.#desk = context.desks.take();
    this.#parser = this.#desk.parser;
    this.#input = new Input(this.#desk.input, sockets, socket);
    this.#output = new Output(sockets, socket, this.#deadline, limits.writeTimeoutMs, context.builder);
    this.#reader = new BodyReader(
      this.#input,
      limits,
      this.#deadline,
      () => context.clock.now(),
      () => {
        context.builder.clear();
        context.builder.ascii(CONTINUE);
        return this.#output.sendBuilt();
      },
    );
    this.#responder = new Responder(context, this.#output, this.#peer);
  }

  /** Serves until the connection ends. Never rejects: what goes wrong here is this connection's affair. */
  async run(): Promise<void> {
    try {
      await this.#serve();
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#deadline.stop();
      this.#context.counters.bytesReceived += this.#input.received;
      this.#context.counters.bytesSent += this.#output.sent;
      this.#end("close");
      this.#context.desks.giveBack(this.#desk);
    }
  }

  /** For the server that stops: a connection that does nothing ends now, another one after its response. */
  endWhenIdle(): void {
    if (this.#activity === "waiting" && !this.#parser.started) this.#end("close");
  }

  abort(): void {
    this.#end("abort");
  }

  async #serve(): Promise<void> {
    const parser = this.#parser;
    const input = this.#input;
    for (let served = 1; ; served++) {
      while (parser.state === "reading") {
        if (input.empty) {
          let count = input.tryFill();
          if (count === -Errno.EAGAIN) count = await this.#waitForHead();
          if (count < 0) throw new SystemError(-count, "recv");
          // The end of the stream; in the middle of a head there is nobody left to answer either.
          if (count === 0) return;
        }
        input.start = parser.feed(input.bytes, input.start, input.end);
      }
      this.#deadline.clear();
      this.#activity = "answering";
      const answered = this.#answer(served);
      const next = typeof answered === "string" ? answered : await answered;
      if (next === "close") return;
      if (next === "linger") return this.#linger();
      parser.reset();
      this.#activity = "waiting";
      if (this.#context.phase !== "serving") return;
      if (++this.#burst === BURST) await this.#pause();
    }
  }

  #waitForHead(): Promise<number> {
    this.#burst = 0;
    const { idleTimeoutMs, headTimeoutMs } = this.#context.limits;
    if (!this.#parser.started) this.#deadline.set("idle", idleTimeoutMs);
    // Once for the whole head: a byte now and then does not move it.
    else if (this.#deadline.phase !== "head") this.#deadline.set("head", headTimeoutMs);
    return this.#input.fill();
  }

  #answer(served: number): Next | Promise<Next> {
    const { counters, limits } = this.#context;
    const parser = this.#parser;
    this.#responder.begin(parser);
    if (parser.failure !== undefined) {
      counters.badRequests++;
      const { status, reason } = parser.failure;
      return this.#finish(this.#responder.explain(status, reason), "linger");
    }
    counters.requests++;
    const { framing } = parser;
    this.#reader.begin(framing);
    if (framing.body === "length" && framing.contentLength > limits.bodyBytes) {
      counters.badRequests++;
      const reason = `the body is longer than ${limits.bodyBytes} bytes`;
      return this.#finish(this.#responder.explain(413, reason), "linger");
    }
    const last = framing.connection === "close" || served >= limits.requestsPerConnection;
    const request = new ParsedRequest(parser, this.#reader, this.#peer, this.#context.text);
    const wish = last ? "close" : "keep";
    const response = this.#handle(request);
    if (response instanceof Promise) return this.#respondLater(request, response, wish);
    return this.#respond(request, response, wish);
  }

  #handle(request: ParsedRequest): HttpResponse | Promise<HttpResponse> {
    try {
      return this.#context.handler(request);
    } catch (error) {
      return this.#explainError(error);
    }
  }

  async #respondLater(request: ParsedRequest, promise: Promise<HttpResponse>, wish: Wish): Promise<Next> {
    let response: HttpResponse;
    try {
      response = await promise;
    } catch (error) {
      response = this.#explainError(error);
    }
    return this.#respond(request, response, wish);
  }

  #respond(request: ParsedRequest, response: HttpResponse, wish: Wish): Next | Promise<Next> {
    request.end();
    if (!this.#reader.worthDraining) return this.#finish(response, "linger");
    return this.#finish(response, this.#context.phase === "serving" ? wish : "close");
  }

  /** Sends the response; then what is left of the request's body has to go. */
  #finish(response: HttpResponse, wish: Next): Next | Promise<Next> {
    const sending = this.#responder.respond(response, wish === "keep" ? "keep" : "close");
    if (sending === undefined) {
      this.#responder.end("sent");
      if (this.#reader.finished || wish === "linger") return this.#next(wish);
    }
    return this.#finishLater(sending, wish);
  }

  async #finishLater(sending: Promise<void> | undefined, wish: Next): Promise<Next> {
    if (sending !== undefined) {
      await sending;
      this.#responder.end("sent");
    }
    const next = this.#next(wish);
    if (next !== "keep" || this.#reader.finished) return this.#reader.finished ? next : "linger";
    return (await this.#reader.drain()) ? "keep" : "linger";
  }

  /** The response may have made an end of it. */
  #next(wish: Next): Next {
    return wish === "keep" && this.#responder.connection === "close" ? "close" : wish;
  }

  #explainError(error: unknown): HttpResponse {
    if (error instanceof HttpError) return this.#responder.explain(error.status, error.message);
    if (this.#life === "open") {
      this.#context.counters.handlerErrors++;
      this.#context.log.error("the handler failed", { target: this.#parser.target, error: String(error) });
    }
    return this.#responder.explain(500, "the server failed to answer this request");
  }

  /** Tells the client that nothing more comes, and takes what it still sends, so that it can read the answer first. */
  async #linger(): Promise<void> {
    this.#sockets.shutdown(this.#socket, "send");
    this.#deadline.set("linger", LINGER_MS);
    const input = this.#input;
    const limit = input.received + LINGER_BYTES;
    while (input.received < limit) {
      let count = input.tryFill();
      if (count === -Errno.EAGAIN) count = await input.fill();
      if (count <= 0) return;
    }
  }

  /** Lets others run: a client that always has the next request ready must not have the core for itself. */
  #pause(): Promise<void> {
    this.#burst = 0;
    return new Promise((resolve) => {
      this.#context.clock.after(0, () => resolve());
    });
  }

  #expired(phase: Phase): void {
    const { timeouts } = this.#context.counters;
    if (phase === "idle" || phase === "head" || phase === "body" || phase === "write") timeouts[phase]++;
    if (phase === "write") {
      this.#end("abort");
      return;
    }
    if ((phase === "head" || phase === "body") && !this.#responder.begun) this.#sayTimeout();
    this.#end("close");
  }

  /** What the connection takes of it at once must do. */
  #sayTimeout(): void {
    if (!this.#responder.open) this.#responder.begin(this.#parser);
    try {
      const sending = this.#responder.respond(this.#responder.explain(408, "the request took too long"), "close");
      sending?.catch(() => {});
      this.#responder.end("sent");
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }

  #failed(error: unknown): void {
    this.#responder.end("cut-off");
    // The client went away, or a deadline ended it: that is no news.
    if (!(error instanceof SystemError)) {
      const fields = { target: this.#parser.target, error: String(error) };
      if (error instanceof BodyError) this.#context.log.warn("a response was cut off", fields);
      else {
        this.#context.counters.handlerErrors++;
        this.#context.log.error("a response failed on its way", fields);
      }
    }
    this.#end("abort");
  }

  #end(manner: "close" | "abort"): void {
    if (this.#life === "ended") return;
    this.#life = "ended";
    if (manner === "close") this.#sockets.close(this.#socket);
    else this.#sockets.abort(this.#socket);
  }
}
