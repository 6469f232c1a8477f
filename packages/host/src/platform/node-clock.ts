/** Node's time and timers, as the core packages want them. */
import { performance } from "node:perf_hooks";
import type { Clock } from "@toril/virtio/platform";

export interface NodeClockOptions {
  /** Whether a timer that is set keeps the process alive; `process` unless told. */
  readonly timersHold?: "process" | "nothing";
}

/** Milliseconds of the process's monotonic clock; timers fire from Node's event loop. */
export function nodeClock(options: NodeClockOptions = {}): Clock {
  const holds = options.timersHold !== "nothing";
  return {
    now: () => performance.now(),
    after: (delay, callback) => {
      // Node cuts fractions off: a timer must not fire early.
      const timer = setTimeout(callback, Math.ceil(Math.max(delay, 0)));
      if (!holds) timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
  };
}
