export type { Chain, DeviceQueue, DriverQueue } from "./queue.ts";
export * from "./queue-layout.ts";
export type { QueueViolation, ViolationKind } from "./violation.ts";
