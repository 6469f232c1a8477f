/**
 * The host's side in Node. Reading order: directory/reach.ts (the two ways to reach an inode),
 * directory/descriptors/linux-path.ts (why a directory cannot be escaped on Linux), directory/paths/path-reach.ts (what
 * is done elsewhere), directory/node-table.ts, directory/host-directory.ts; then bridges/socket-bridge.ts (how bytes move
 * between a socket and a guest), bridges/tcp-forward.ts, bridges/tcp-connector.ts, bridges/unix-bridge.ts; platform/ is
 * Node's clock and log.
 */
export { BridgeError } from "./bridges/bridge-error.ts";
export type { CloseOptions } from "./bridges/connections.ts";
export { type BridgeStats, SocketBridge, type SocketBridgeOptions } from "./bridges/socket-bridge.ts";
export { TcpConnector, type TcpConnectorOptions, type TcpTarget } from "./bridges/tcp-connector.ts";
export { TcpForward, type TcpForwardOptions } from "./bridges/tcp-forward.ts";
export { UnixBridge, type UnixBridgeOptions } from "./bridges/unix-bridge.ts";
export { UnixForward, type UnixForwardOptions, type UnixForwardStats } from "./bridges/unix-forward.ts";
export { HostDirectory } from "./directory/host-directory.ts";
export { HostDirectoryError } from "./directory/host-directory-error.ts";
export type { HostDirectoryOptions } from "./directory/options.ts";
export type { Confinement } from "./directory/reach.ts";
export { consoleLog, type ConsoleLogOptions, type LogLevel } from "./platform/console-log.ts";
export { monotonicNow } from "./platform/monotonic.ts";
export { nodeClock, type NodeClockOptions } from "./platform/node-clock.ts";
