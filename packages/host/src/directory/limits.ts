/** How many descriptors this process may have (setrlimit(2), RLIMIT_NOFILE). */
import { readFileSync } from "node:fs";

/** What POSIX has had for ever: used when the system does not say. */
const FALLBACK = 1024;

export function descriptorLimit(): number {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
    const limit = Number(line?.[1]);
    return Number.isSafeInteger(limit) && limit > 0 ? limit : FALLBACK;
  } catch {
    return FALLBACK;
  }
}
