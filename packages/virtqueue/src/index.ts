/**
 * Split virtqueues, both roles. Reading order: queue.ts (the two faces), queue-layout.ts, then one file per structure
 * of virtio 1.3 §2.7 (descriptor-table.ts, available-ring.ts, used-ring.ts, ring-index.ts, event-idx.ts), then
 * driver-queue.ts with its chain writer and shadow, and chain.ts, chain-reader.ts, device-queue.ts.
 */
export { SplitDeviceQueue, type SplitDeviceQueueOptions } from "./device-queue.ts";
export { SplitDriverQueue, type SplitDriverQueueOptions } from "./driver-queue.ts";
export { type IndirectOptions, indirectTableBytes } from "./indirect-tables.ts";
export type { Chain, DeviceQueue, DriverQueue } from "./queue.ts";
export * from "./queue-layout.ts";
export type { QueueViolation, ViolationKind } from "./violation.ts";
