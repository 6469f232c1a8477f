/**
 * Bugs put in on purpose: barriers and second looks taken away. The explorer must find each of them; if it does not,
 * it does not look where it should.
 */
import type { SourceChange } from "./load.ts";
import type { MemoryModel } from "./machine.ts";
import type { Program } from "./program.ts";
import { type CoresFaults, coresProgram } from "./programs/cores.ts";
import { dedicatedProgram } from "./programs/dedicated.ts";
import { remoteFreesProgram } from "./programs/remote-frees.ts";
import { type LoopFaults, ringProgram } from "./programs/ring.ts";
import type { PlainStoreFault } from "./run.ts";
import { dedicatedChanges, remoteFreeChanges, ringChanges, wakeWordChanges } from "./source-mutants.ts";

export interface Mutant {
  readonly name: string;
  readonly program: Program;
  /** The models that must find it. */
  readonly foundBy: readonly MemoryModel[];
  /** What they say then; the same for all models but race-free, which may call it a data race. */
  readonly reason: RegExp;
  readonly plainStore?: PlainStoreFault;
  readonly changes?: readonly SourceChange[];
}

const ALL: readonly MemoryModel[] = ["tso", "pso", "race-free"];
const SLEEPS = /sleeps? (and|for ever)/;

const ring = (eventIdx: boolean, faults: LoopFaults = {}, chains = 2): Program =>
  ringProgram(
    {
      size: 2,
      chains,
      eventIdx,
      startIndex: 65_535,
      shape: "out",
      batch: 1,
      suppress: "while awake",
      completes: "in order",
    },
    faults,
  );

const cores = (chains: number, faults: CoresFaults = {}): Program =>
  coresProgram({ chains, eventIdx: true, startIndex: 65_535 }, faults);

const dedicated = dedicatedProgram({ chains: 1, eventIdx: true, startIndex: 65_535 });
const remoteFrees = remoteFreesProgram(2);
const eventIdx = ring(true);
const flags = ring(false);

/** An atomic store made plain: under TSO a wake-up gets lost, under PSO the content may be late as well. */
const barriers: readonly Mutant[] = [
  { name: "the driver publishes avail.idx without a barrier", on: eventIdx, thread: "driver", field: "avail.idx" },
  { name: "the device publishes used.idx without a barrier", on: eventIdx, thread: "device", field: "used.idx" },
  { name: "the driver arms used_event without a barrier", on: eventIdx, thread: "driver", field: "used_event" },
  { name: "the device arms avail_event without a barrier", on: eventIdx, thread: "device", field: "avail_event" },
  { name: "the driver arms avail.flags without a barrier", on: flags, thread: "driver", field: "avail.flags" },
  { name: "the device arms used.flags without a barrier", on: flags, thread: "device", field: "used.flags" },
].map(({ name, on, thread, field }) => ({
  name,
  program: on,
  foundBy: ALL,
  reason: /for ever|names 0 bytes|violation|data race/,
  plainStore: { thread, field },
}));

const SIDES = ["driver", "device"] as const;

const loops: readonly Mutant[] = [
  ...SIDES.flatMap((side) => [
    {
      name: `the ${side} sleeps although arming found work, EVENT_IDX`,
      program: ring(true, { ignoresRecheck: side }),
    },
    { name: `the ${side} sleeps although arming found work, flags`, program: ring(false, { ignoresRecheck: side }) },
    { name: `the ${side} arms before its first sleep only, EVENT_IDX`, program: ring(true, { armsOnce: side }) },
    { name: `the ${side} arms before its first sleep only, flags`, program: ring(false, { armsOnce: side }) },
  ]),
  ...(["driver core", "device core"] as const).flatMap((core) => [
    { name: `the ${core} reads its bell's count after arming`, program: cores(1, { readsCountLate: core }) },
    { name: `the ${core} waits without arming`, program: cores(2, { forgetsToArm: core }) },
  ]),
].map((mutant) => ({ ...mutant, foundBy: ALL, reason: SLEEPS }));

export const mutants: readonly Mutant[] = [
  ...barriers,
  ...loops,
  ...wakeWordChanges.map((change) => ({ ...change, program: cores(1), foundBy: ALL, reason: SLEEPS })),
  ...dedicatedChanges.map((change) => ({ ...change, program: dedicated, foundBy: ALL, reason: SLEEPS })),
  ...remoteFreeChanges.map((change) => ({
    ...change,
    program: remoteFrees,
    foundBy: ALL,
    reason: /came back|no block of the heap/,
  })),
  ...ringChanges.map(({ on, foundBy = ALL, ...change }) => ({
    ...change,
    program: on === "EVENT_IDX" ? eventIdx : flags,
    foundBy,
    reason: /for ever|names 0 bytes|violation|data race|instead of/,
  })),
];
