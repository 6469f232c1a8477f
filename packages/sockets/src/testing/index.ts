/** For tests of what stands on sockets: a network in memory. The clock for it: VirtualClock of @toril/virtio/testing. */
export { MemoryConnection } from "./memory-connection.ts";
export { type MemoryDriver, MemoryNetwork } from "./memory-network.ts";
