/** The small interfaces through which the core packages meet their surroundings: no Node, no browser. */
export type { AbortSignalLike } from "./abort.ts";
export { CancelSource } from "./cancel.ts";
export type { Clock, Timer } from "./clock.ts";
export type { Doorbell, Pollable } from "./doorbell.ts";
export { Errno, type ErrnoName, type ErrnoValue, errnoName, SystemError } from "./errno.ts";
export { type Log, type LogFields, silentLog } from "./log.ts";
export type { TextCodec } from "./text.ts";
export { plainTextCodec, textCodec } from "./utf8.ts";
