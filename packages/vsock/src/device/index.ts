/** The vsock device. Reading order: api.ts, vsock-device.ts, guest-connection.ts, inbound.ts, outbound.ts, rx-writer.ts. */
export type { GuestBytes, GuestStream, HostHandler, HostPortHandler } from "./api.ts";
export type { VsockDeviceStats } from "./stats.ts";
export { VsockDevice, type VsockDeviceOptions } from "./vsock-device.ts";
