/** For tests of what stands on sockets: a network in memory, and a clock that one moves by hand. */
export { ManualClock } from "./manual-clock.ts";
export { MemoryConnection } from "./memory-connection.ts";
export { type MemoryDriver, MemoryNetwork } from "./memory-network.ts";
