/** For tests of sockets and bridges: a driver and a device, joined by real rings in one thread. */
export { createLoopback, type Loopback, type LoopbackOptions } from "./loopback.ts";
