/** Waiting that ends. */

/**
 * Waits for a promise, but not for longer than `ms`. Never rejects: `late` is also the answer for what has failed.
 * The timer keeps the process alive, so that nobody's `await` is cut short by an early end.
 */
export function within(promise: Promise<unknown>, ms: number): Promise<"done" | "late"> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("late"), ms);
    const settle = (outcome: "done" | "late"): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    promise.then(
      () => settle("done"),
      () => settle("late"),
    );
  });
}
