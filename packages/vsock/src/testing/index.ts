/** For tests of sockets and bridges, drivers and devices: yours and ours. */
export { createLoopback, type Loopback, type LoopbackOptions } from "./loopback.ts";
export { MirrorDevice } from "./mirror-device.ts";
export { type RawPacket, RawVsockDevice } from "./raw-device.ts";
export { RawGuest, type RawReceived } from "./raw-guest.ts";
/** A driver's counters before anything has happened, for stand-ins of drivers. */
export { emptyStats } from "../driver/stats.ts";
