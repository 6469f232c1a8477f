/**
 * Sockets as Node streams, and node:http over them. Reading order: socket-stream.ts, server.ts, http.ts.
 */
import { type ConnectStreamOptions, SocketStream, type SocketStreamOptions } from "./socket-stream.ts";

export { Agent, type AgentOptions, listenHttp } from "./http.ts";
export type { NodeSocketError } from "./node-error.ts";
export { createServer, type ListenOptions, Server, type ServerOptions } from "./server.ts";
export {
  type ConnectStreamOptions,
  SocketStream,
  type SocketStreamOptions,
  type StreamAddress,
} from "./socket-stream.ts";

/** Connects to a vsock port, like net.connect. */
export function connect(
  options: Omit<SocketStreamOptions, "socket"> & ConnectStreamOptions,
  listener?: () => void,
): SocketStream {
  return new SocketStream(options).connect(options, listener);
}
