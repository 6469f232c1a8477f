/**
 * Sockets as Node streams, and node:http over them. Reading order: socket-stream.ts, server.ts, http.ts.
 */
import { SocketStream } from "./socket-stream.ts";
import type { ConnectStreamOptions, SocketStreamOptions } from "./stream-options.ts";

export { Agent, type AgentOptions, listenHttp } from "./http.ts";
export type { NodeSocketError } from "./node-error.ts";
export { createServer, type ListenOptions, Server, type ServerOptions } from "./server.ts";
export { SocketStream } from "./socket-stream.ts";
export type { ConnectStreamOptions, SocketStreamOptions, StreamAddress } from "./stream-options.ts";

/** Connects to a vsock port, like net.connect. */
export function connect(
  options: Omit<SocketStreamOptions, "socket"> & ConnectStreamOptions,
  listener?: () => void,
): SocketStream {
  return new SocketStream(options).connect(options, listener);
}
