/** SIGINT and SIGTERM: the first asks for a clean end, the second does not wait for it. */

/** Exit code of a command that a signal cut short, as shells have it. */
const INTERRUPTED = 130;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;
/** A terminal, or a supervisor, signals a whole group, and whoever started us may hand the same signal on: it is one. */
const ECHO_MS = 200;

export interface CaughtSignals {
  /** Resolves with the first signal. */
  readonly first: Promise<NodeJS.Signals>;
  /** Back to what signals do by themselves. */
  release(): void;
}

/**
 * From now on the first signal is only told; a second one (not an echo of it) ends the process at once.
 * @param onFirst told at once, so that a person sees that it was heard
 */
export function catchSignals(onFirst: (signal: NodeJS.Signals) => void): CaughtSignals {
  let asked: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
  let settle: (signal: NodeJS.Signals) => void = () => {};
  const first = new Promise<NodeJS.Signals>((resolve) => {
    settle = resolve;
  });
  const listener = (signal: NodeJS.Signals): void => {
    const at = performance.now();
    if (asked?.signal === signal && at - asked.at < ECHO_MS) return;
    if (asked !== undefined) process.exit(INTERRUPTED);
    asked = { signal, at };
    onFirst(signal);
    settle(signal);
  };
  for (const name of SIGNALS) process.on(name, listener);
  return {
    first,
    release() {
      for (const name of SIGNALS) process.removeListener(name, listener);
    },
  };
}
