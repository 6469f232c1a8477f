/** The programs that are explored: short ones in `npm test`, longer ones by command. */
import type { MemoryModel } from "./machine.ts";
import type { Program } from "./program.ts";
import { coresProgram } from "./programs/cores.ts";
import { dedicatedProgram } from "./programs/dedicated.ts";
import { remoteFreesProgram } from "./programs/remote-frees.ts";
import { type RingOptions, ringProgram } from "./programs/ring.ts";

export interface Case {
  readonly program: Program;
  readonly models: readonly MemoryModel[];
}

const BUFFERED: readonly MemoryModel[] = ["tso", "pso"];
const ALL: readonly MemoryModel[] = ["tso", "pso", "race-free"];

/** The plainest ring: its indices wrap after the first chain. */
const PLAIN: RingOptions = {
  size: 2,
  chains: 2,
  eventIdx: true,
  startIndex: 65_535,
  shape: "out",
  batch: 1,
  suppress: "never",
  completes: "in order",
};

const ring = (models: readonly MemoryModel[], options: Partial<RingOptions>): Case => ({
  program: ringProgram({ ...PLAIN, ...options }),
  models,
});

const cores = (models: readonly MemoryModel[], chains: number, eventIdx: boolean): Case => ({
  program: coresProgram({ chains, eventIdx, startIndex: 65_535 }),
  models,
});

const dedicated = (models: readonly MemoryModel[], chains: number, eventIdx: boolean): Case => ({
  program: dedicatedProgram({ chains, eventIdx, startIndex: 65_535 }),
  models,
});

/** A few seconds in all. */
export const short: readonly Case[] = [
  ring(ALL, {}),
  ring(BUFFERED, { startIndex: 0 }),
  ring(ALL, { eventIdx: false }),
  ring(ALL, { suppress: "while awake" }),
  ring(ALL, { suppress: "while awake", eventIdx: false }),
  ring(ALL, { shape: "in" }),
  ring(["tso", "race-free"], { shape: "both" }),
  ring(["tso", "race-free"], { shape: "indirect" }),
  ring(ALL, { size: 4, chains: 3, batch: 2 }),
  ring(["tso", "race-free"], { size: 4, chains: 3, batch: 3, completes: "last first", shape: "in" }),
  cores(ALL, 1, true),
  cores(ALL, 1, false),
  cores(["tso"], 2, true),
  dedicated(["tso", "race-free"], 1, true),
  dedicated(["tso"], 1, false),
  { program: remoteFreesProgram(2), models: ALL },
];

/** Minutes, and some gigabytes of memory. */
export const long: readonly Case[] = [
  ...short,
  ...[true, false].flatMap((eventIdx) => [
    ring(ALL, { chains: 3, eventIdx }),
    ring(ALL, { chains: 3, eventIdx, suppress: "while awake" }),
    ring(BUFFERED, { chains: 4, eventIdx, suppress: "while awake", batch: 2 }),
    ring(BUFFERED, { chains: 3, eventIdx, shape: "both" }),
    ring(["tso"], { chains: 3, eventIdx, shape: "indirect" }),
    ring(["tso"], { chains: 4, eventIdx, size: 4, batch: 2, shape: "in", completes: "last first" }),
    cores(ALL, 2, eventIdx),
    dedicated(["tso"], 2, eventIdx),
  ]),
  { program: remoteFreesProgram(3), models: ["tso"] },
];
