/**
 * vhost-user: a Transport to devices in other processes. Reading order: protocol (what goes over the socket), ffi (libc),
 * memory, front-end, daemons.
 */
export { FfiUnavailable, LibcError } from "./ffi/libc.ts";
export { EventfdBell, type InterruptSource, ringEventfd } from "./front-end/eventfd-bell.ts";
export { type FrontEndOptions, virtioFsConfig } from "./front-end/options.ts";
export { connectFrontEnd, type VhostUserTransport } from "./front-end/transport.ts";
export { type MemfdRegion, MemfdMemory } from "./memory/memfd-memory.ts";
export { ProtocolFeature } from "./protocol/message.ts";
export { type Daemon, DaemonError, type DaemonOptions, startDaemon } from "./daemons/daemon.ts";
export { type DaemonName, findDaemons } from "./daemons/find.ts";
export { type SuperviseOptions, type Supervisor, supervise } from "./daemons/supervisor.ts";
export {
  startVhostDeviceVsock,
  type VhostDeviceVsockOptions,
  type VsockDaemon,
  vhostDeviceVsockVersion,
} from "./daemons/vhost-device-vsock.ts";
export {
  startVirtiofsd,
  type VirtiofsdOptions,
  type VirtiofsdVersion,
  virtiofsdVersion,
} from "./daemons/virtiofsd.ts";
