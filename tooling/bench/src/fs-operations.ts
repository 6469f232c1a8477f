/** What `bench:fs` does, and to which files: the guest's program and its peers do the same. */

export const operations = ["stat", "open, read 4 KiB, close", "open, read 1 MiB, close", "readdir of 10,000"] as const;
export type Operation = (typeof operations)[number];

/** Microseconds for one of each. */
export type RunTimes = { -readonly [O in Operation]: number };

export const SMALL = { name: "small.bin", bytes: 4_096 } as const;
export const LARGE = { name: "large.bin", bytes: 1_048_576 } as const;
export const LISTED = { name: "many", files: 10_000 } as const;

/**
 * Microseconds for one of each, over `milliseconds`. A first pass over all of them does not count: the machine is new, its
 * code runs in the interpreter, and its cores have yet to learn that spinning pays.
 */
export async function timesOf(
  work: Record<Operation, () => Promise<unknown>>,
  now: () => number,
  milliseconds: number,
): Promise<RunTimes> {
  const times: Partial<RunTimes> = {};
  for (const _ of ["warm-up", "timed"]) {
    for (const operation of operations) times[operation] = await timeOf(work[operation], now, milliseconds);
  }
  return times as RunTimes;
}

async function timeOf(work: () => Promise<unknown>, now: () => number, milliseconds: number): Promise<number> {
  const start = now();
  let done = 0;
  while (now() < start + milliseconds) {
    for (let i = 0; i < 4; i++) await work();
    done += 4;
  }
  return ((now() - start) * 1000) / done;
}
