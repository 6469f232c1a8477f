/**
 * The virtio-fs driver and the file system calls. Reading order: file-calls.ts (what programs see), driver/create-driver.ts
 * (how a session comes up), driver/requests.ts (requests and replies on the rings), driver/operations.ts (one method per
 * FUSE request), driver/nodes.ts, names.ts and tree.ts (what is known, and for how long), driver/walk.ts (paths),
 * driver/file-cache.ts and file-reader.ts (data), driver/calls.ts.
 */
export type * from "./file-calls.ts";
export type { CacheMode } from "./driver/cache-policy.ts";
export { createFileDriver, type FileDriverOptions } from "./driver/create-driver.ts";
export type { FileDriver } from "./driver/driver.ts";
export type { File } from "./driver/file.ts";
export type { Session } from "./driver/session.ts";
export type { FileDriverStats } from "./driver/stats.ts";
export { fuseTrace } from "./trace/fuse-trace.ts";
