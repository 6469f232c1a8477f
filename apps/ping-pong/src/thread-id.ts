/** Threads by the numbers that Linux knows them by. */
import { readlinkSync } from "node:fs";

/** This thread's, by which it can be pinned; `undefined` where that is not to be had. */
export function threadId(): number | undefined {
  try {
    return Number(readlinkSync("/proc/thread-self").split("/").pop());
  } catch {
    return undefined;
  }
}
