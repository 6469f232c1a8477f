/** For tests of what stands on sockets: a network in memory, and the real driver and device with a relay. The clock for it: VirtualClock of @toril/virtio/testing. */
export { MemoryConnection } from "./memory-connection.ts";
export { type MemoryDriver, MemoryNetwork } from "./memory-network.ts";
export { createStack, type Stack } from "./stack.ts";
