/**
 * The device's side of virtio-fs. Reading order: file-system.ts (what you implement), fuse-message.ts, exchange.ts,
 * session.ts, fuse-server.ts with operations.ts and the four `*-operations.ts`, virtio-fs-device.ts, and the example:
 * memory/memory-file-system.ts.
 */
export * from "./file-system.ts";
export { type FuseMessage, SegmentMessage } from "./fuse-message.ts";
export { PENDING } from "./exchange.ts";
export { FuseServer, type FuseServerOptions, type FuseServerStats } from "./fuse-server.ts";
export { MAX_TRANSFER, type SessionLimits } from "./session.ts";
export {
  TAG_SIZE,
  VirtioFsDevice,
  type VirtioFsDeviceOptions,
  type VirtioFsDeviceStats,
} from "./virtio-fs-device.ts";
export { MemoryFileSystem, type MemoryFileSystemOptions } from "./memory/memory-file-system.ts";
