/** What `bench:fs` does, and to which files: the guest's program and its peers do the same. */

export const operations = ["stat", "open, read 4 KiB, close", "open, read 1 MiB, close", "readdir of 10,000"] as const;
export type Operation = (typeof operations)[number];

/** Microseconds for one of each. */
export type RunTimes = { -readonly [O in Operation]: number };

export const SMALL = { name: "small.bin", bytes: 4_096 } as const;
export const LARGE = { name: "large.bin", bytes: 1_048_576 } as const;
export const LISTED = { name: "many", files: 10_000 } as const;
