/** The server: accepts connections, keeps their number within its limit, and stops in order. */
import type { Socket, SocketCalls } from "@toril/sockets";
import { type Errno, SystemError, silentLog } from "@toril/virtio/platform";
import { HttpConnection } from "./connection.ts";
import { DateCache } from "./date.ts";
import { Desks } from "./desk.ts";
import type { HttpEnvironment, HttpHandler, HttpServerOptions } from "./environment.ts";
import { HeadBuilder } from "./head-builder.ts";
import { SERVER_LIMITS } from "./limits.ts";
import type { ServerContext } from "./server-context.ts";
import { type Counters, type HttpStats, newCounters } from "./stats.ts";

/** Room for a head and a small body: they leave together. */
const BUILDER_SIZE = 16 * 1024;
/** How long accepting pauses when there is no memory or no thread for one more connection. */
const ACCEPT_PAUSE_MS = 50;

export class HttpServer {
  readonly #env: HttpEnvironment;
  readonly #counters: Counters = newCounters();
  readonly #context: ServerContext & { phase: ServerContext["phase"] };
  readonly #connections = new Set<HttpConnection>();
  readonly #listening = new Set<Socket>();
  #whenEmpty: (() => void) | undefined;

  constructor(env: HttpEnvironment, options: HttpServerOptions, handler: HttpHandler) {
    this.#env = env;
    const limits = { ...SERVER_LIMITS, ...options.limits };
    this.#context = {
      clock: env.clock,
      log: env.log ?? silentLog,
      text: env.text,
      limits,
      handler,
      onAccess: options.onAccess,
      counters: this.#counters,
      dates: new DateCache(() => env.wallClock()),
      desks: new Desks(limits),
      builder: new HeadBuilder(BUILDER_SIZE),
      phase: "serving",
    };
  }

  get stats(): HttpStats {
    return this.#counters;
  }

  /**
   * Accepts from a listening socket until the server is closed, or the socket. May be called for several sockets.
   * @throws SystemError when the socket cannot accept: EINVAL, ENETDOWN, ECANCELED
   */
  async serve(listening: Socket): Promise<void> {
    if (this.#context.phase !== "serving") throw new Error("this server is closed: make a new one");
    const { sockets } = this.#env;
    this.#listening.add(listening);
    try {
      while (this.#context.phase === "serving") {
        const socket = sockets.tryAccept(listening) ?? (await sockets.accept(listening));
        await this.#admit(socket);
      }
    } catch (error) {
      // Closed by `close`, or by whoever owns it: that is how serving ends.
      if (!(error instanceof SystemError) || error.code !== ("EBADF" satisfies keyof typeof Errno)) throw error;
    } finally {
      this.#listening.delete(listening);
    }
  }

  /**
   * Stops: no new connections, idle ones end now, busy ones after the response they are at. After `graceMs` milliseconds
   * (5,000 unless told) the rest are reset. Settles when none is left.
   */
  async close(options: { readonly graceMs?: number } = {}): Promise<void> {
    if (this.#context.phase !== "serving") return;
    this.#context.phase = "stopping";
    for (const listening of this.#listening) this.#env.sockets.close(listening);
    for (const connection of this.#connections) connection.endWhenIdle();
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#env.clock.after(options.graceMs ?? 5_000, resolve);
        this.#whenEmpty = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    for (const connection of this.#connections) connection.abort();
    this.#context.phase = "stopped";
  }

  async #admit(socket: Socket): Promise<void> {
    const { sockets, clock } = this.#env;
    const counters = this.#counters;
    if (counters.connectionsOpen >= this.#context.limits.connections) {
      counters.connectionsRefused++;
      this.#refuse(socket);
      return;
    }
    counters.connectionsAccepted++;
    counters.connectionsOpen++;
    try {
      this.#env.spawn((own) => this.#run(own, socket));
    } catch (error) {
      counters.connectionsOpen--;
      this.#context.log.error("no thread for a connection", { error: String(error) });
      sockets.abort(socket);
      await new Promise<void>((resolve) => void clock.after(ACCEPT_PAUSE_MS, resolve));
    }
  }

  async #run(sockets: SocketCalls, socket: Socket): Promise<void> {
    try {
      sockets.adopt(socket);
      const connection = new HttpConnection(this.#context, sockets, socket);
      this.#connections.add(connection);
      await connection.run();
      this.#connections.delete(connection);
    } finally {
      this.#counters.connectionsOpen--;
      if (this.#connections.size === 0) this.#whenEmpty?.();
    }
  }

  /** Says 503 to one connection too many. Nobody waits for it: what the connection does not take is lost. */
  #refuse(socket: Socket): void {
    const { builder, dates } = this.#context;
    const { sockets } = this.#env;
    builder.clear();
    builder.head(503, { "Retry-After": 1 }, dates.now(), { kind: "length", length: 0 }, "close");
    sockets.trySend(socket, builder.bytes.subarray(0, builder.length));
    sockets.close(socket);
  }
}
