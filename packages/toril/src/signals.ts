/** SIGINT and SIGTERM: the first asks for a clean end, the second does not wait for it. */

/** Exit code of a command that a signal cut short, as shells have it. */
const INTERRUPTED = 130;

/**
 * Resolves with the first signal. A second one ends the process at once.
 * @param onFirst told at once, so that a person sees that it was heard
 */
export function stopSignal(onFirst: (signal: NodeJS.Signals) => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      process.on(name, (signal) => {
        if (asked) process.exit(INTERRUPTED);
        asked = true;
        onFirst(signal);
        resolve(signal);
      });
    }
  });
}
