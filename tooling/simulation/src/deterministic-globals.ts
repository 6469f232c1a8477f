/**
 * While a simulation runs, real time and real chance are traps: a run that asks for them would not replay. For processes
 * that do nothing else.
 */

const REAL = {
  now: Date.now,
  random: Math.random,
  performanceNow: performance.now.bind(performance),
  setTimeout,
  setInterval,
};

/** Real milliseconds, for the progress display. */
export const realTime: () => number = REAL.performanceNow;

/** @returns takes the traps away again. */
export function setTraps(): () => void {
  const trap = (name: string) => (): never => {
    throw new Error(`${name} in a simulation: it would not replay`);
  };
  Date.now = trap("Date.now");
  Math.random = trap("Math.random");
  performance.now = trap("performance.now");
  globalThis.setTimeout = trap("setTimeout") as unknown as typeof setTimeout;
  globalThis.setInterval = trap("setInterval") as unknown as typeof setInterval;
  return () => {
    Date.now = REAL.now;
    Math.random = REAL.random;
    performance.now = REAL.performanceNow;
    globalThis.setTimeout = REAL.setTimeout;
    globalThis.setInterval = REAL.setInterval;
  };
}
