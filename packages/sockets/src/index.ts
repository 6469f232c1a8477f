/**
 * The socket system calls over a vsock driver. Reading order: calls.ts (the contract), layer.ts, thread-calls.ts, then
 * handle.ts (one socket), wait.ts and waits.ts (how a call waits), select.ts.
 */
export type {
  BufferSlice,
  ConnectOptions,
  Readiness,
  SendBufferOptions,
  SocketCalls,
  SocketOptions,
  WaitOptions,
} from "./calls.ts";
export type { Socket } from "./socket.ts";
export { SendError } from "./errors.ts";
export { type OwnedSocketCalls, SocketLayer, type SocketLayerOptions } from "./layer.ts";
