/** The vsock device. Reading order: api.ts, vsock-device.ts, from-guest.ts, inbound.ts, to-guest.ts, guest-connection.ts. */
export type { GuestBytes, GuestStream, HostHandler, HostPortHandler } from "./api.ts";
export type { VsockDeviceOptions } from "./options.ts";
export type { VsockDeviceStats } from "./stats.ts";
export { VsockDevice } from "./vsock-device.ts";
