/** Node's event loop, as a hosted core shares it. */
import type { HostLoop } from "@toril/kernel";

/** setTimeout takes no more; a core that wakes for nothing after 24 days goes back to sleep. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

export const nodeLoop: HostLoop = {
  turn: (callback) => void setImmediate(callback),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, Math.min(milliseconds, LONGEST_TIMEOUT_MS));
    return { cancel: () => clearTimeout(timer) };
  },
};
