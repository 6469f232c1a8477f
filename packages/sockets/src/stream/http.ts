/** node:http over vsock: a server's connections come from a vsock port, a client's go through an Agent. */
import { Agent as HttpAgent, type AgentOptions as HttpAgentOptions, type Server as HttpServer } from "node:http";
import type { SocketCalls } from "../calls.ts";
import { type ListenOptions, Server, type ServerOptions } from "./server.ts";
import { SocketStream } from "./socket-stream.ts";

/**
 * Lets a node:http server (its own `listen` is not used) take the connections of a vsock port. Closing the returned server
 * also ends the idle connections of the http server.
 */
export function listenHttp(
  httpServer: HttpServer,
  options: ServerOptions & ListenOptions,
  listener?: () => void,
): Server {
  const { port, backlog, signal, ...rest } = options;
  // An http response may go on after the client has ended its side: node:http listens with half-open sockets, too.
  const server = new VsockHttpServer({ ...rest, allowHalfOpen: true }, httpServer);
  // node:http starts its timers for slow headers and requests with this event.
  server.once("listening", () => httpServer.emit("listening"));
  return server.listen(
    {
      ...(port === undefined ? {} : { port }),
      ...(backlog === undefined ? {} : { backlog }),
      ...(signal === undefined ? {} : { signal }),
    },
    listener,
  );
}

class VsockHttpServer extends Server {
  readonly #httpServer: HttpServer;

  constructor(options: ServerOptions, httpServer: HttpServer) {
    super(options, (stream) => httpServer.emit("connection", stream));
    this.#httpServer = httpServer;
  }

  override close(done?: (error?: Error) => void): this {
    // The http server was never listening: this only stops its timers and ends its idle connections.
    this.#httpServer.close();
    return super.close(done);
  }
}

export interface AgentOptions extends HttpAgentOptions {
  readonly sockets: SocketCalls;
  /** The context id that all requests go to. */
  readonly cid: number;
}

/** An http.Agent whose connections are vsock streams: `http.get({ agent, port: 80, path: "/" })`. */
export class Agent extends HttpAgent {
  readonly #sockets: SocketCalls;
  readonly #cid: number;

  constructor({ sockets, cid, ...options }: AgentOptions) {
    super(options);
    this.#sockets = sockets;
    this.#cid = cid;
  }

  /** Called by node:http for each connection that it needs. */
  override createConnection(options: {
    readonly port?: number | string | null;
    readonly noDelay?: boolean;
  }): SocketStream {
    const stream = new SocketStream({ sockets: this.#sockets });
    if (options.noDelay !== false) stream.setNoDelay();
    return stream.connect({ cid: this.#cid, port: Number(options.port ?? 80) });
  }
}
