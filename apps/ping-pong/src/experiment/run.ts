/** Runs the experiment: one machine for each step, all of them up at once, measured by turns. */
import type { TxPath } from "@toril/vsock";
import { machineDescription } from "../description.ts";
import type { Job } from "../job.ts";
import { add, counted, runFigures } from "../measures.ts";
import type { Modules, Watcher } from "../options.ts";
import { whyNotPinned } from "../peers/pinning.ts";
import { StepMachine } from "./machine.ts";
import type { ExperimentCell, ExperimentOutcome, Pages, RoundTrips } from "./outcome.ts";
import { STEPS } from "./steps.ts";

interface ExperimentOptions {
  readonly modules: Modules;
  readonly tx: readonly TxPath[];
  readonly sizes: readonly number[];
  /** Messages, and a twentieth as many pages, of each run. */
  readonly count?: number;
  readonly rounds?: number;
  /** Processors for the core and the device; 0 and 1, where threads can be kept on processors, unless given. */
  readonly cpus?: readonly [number, number];
}

/** Those of the post. */
export const EXPERIMENT_SIZES: readonly number[] = [8192, 16_384];
const ROUNDS = 7;
const MESSAGES = 400;
const MESSAGES_PER_PAGE = 20;
const CHECKED_MESSAGES = 4;

/** @throws Error when a machine cannot run, or a payload arrives wrong */
export async function runExperiment(options: ExperimentOptions, watcher: Watcher): Promise<ExperimentOutcome> {
  const { modules, tx, sizes, count = MESSAGES, rounds = ROUNDS } = options;
  const began = performance.now();
  const machines: StepMachine[] = [];
  const cells = STEPS.flatMap((step) => tx.flatMap((path) => cellsOf(step, path, sizes)));
  try {
    const cpus = await processors(options.cpus);
    for (const step of STEPS) {
      watcher.progress(`boots the machine "${step.name}"`, 0);
      machines.push(await StepMachine.boot(step, modules, cpus));
    }
    const completeness = await measure(machines, cells, { count, rounds }, watcher);
    return {
      ...{ machine: machineDescription(), cells, steps: STEPS, sizes, rounds, completeness, cpus },
      elapsedMs: performance.now() - began,
    };
  } finally {
    await Promise.all(machines.map((machine) => machine.stop()));
  }
}

/**
 * A core of its own for each side, as a guest and its device have. Left to the system, two sides that sleep are sometimes on
 * one processor and sometimes on two, and that is half the time or twice.
 * @throws Error when the processors that were asked for cannot be had
 */
async function processors(
  given: readonly [number, number] | undefined,
): Promise<readonly [number, number] | undefined> {
  const wanted = given ?? [0, 1];
  for (const cpu of wanted) {
    const reason = await whyNotPinned(cpu);
    if (reason === undefined) continue;
    if (given === undefined) return undefined;
    throw new Error(`cannot pin to processor ${cpu}: ${reason}`);
  }
  return wanted;
}

function cellsOf(step: (typeof STEPS)[number], tx: TxPath, sizes: readonly number[]): ExperimentCell[] {
  const sums = { creditWaits: 0, creditWaitMs: 0, wakeUps: 0, asleepMs: 0, copiedBytes: 0 };
  return [
    ...sizes.map((size): RoundTrips => ({ kind: "rtt", step, tx, size, figures: [], counted: undefined })),
    { kind: "page", step, tx, msPerPage: [], sums, pages: 0 },
  ];
}

async function measure(
  machines: readonly StepMachine[],
  cells: readonly ExperimentCell[],
  { count, rounds }: { readonly count: number; readonly rounds: number },
  watcher: Watcher,
): Promise<ExperimentOutcome["completeness"]> {
  // What is compared lies close together: one size after the other, all steps and paths.
  const order = [...cells].sort((a, b) => sizeOf(a) - sizeOf(b));
  for (let round = 0; round <= rounds; round++) {
    for (const [i, cell] of order.entries()) {
      if (watcher.signal.aborted) return "partial";
      const what = round === 0 ? "checks payloads" : `round ${round} of ${rounds}`;
      watcher.progress(`${what}: ${cell.step.name}, ${cell.tx}`, (round + i / order.length) / (rounds + 1));
      const machine = machines.find(({ step }) => step === cell.step);
      if (machine === undefined) throw new Error(`no machine for the step "${cell.step.name}"`);
      if (cell.kind === "page") await pages(machine, cell, count, round);
      else await roundTrips(machine, cell, count, round);
    }
  }
  return "complete";
}

/** Pages are larger than what is sent to and fro. */
const sizeOf = (cell: ExperimentCell): number => (cell.kind === "rtt" ? cell.size : Number.POSITIVE_INFINITY);

/** Round 0 is not counted. */
async function roundTrips(machine: StepMachine, cell: RoundTrips, count: number, round: number): Promise<void> {
  const { size, tx, step } = cell;
  const { receive } = step;
  const job: Job = {
    mode: "rtt",
    size,
    tx,
    receive,
    payload: "unread",
    trace: "off",
    warmUp: Math.ceil(count / 10),
    count,
  };
  if (round === 0) {
    await machine.run({ ...job, payload: "checked", warmUp: 1, count: CHECKED_MESSAGES });
    return;
  }
  const report = await machine.run(job);
  cell.figures.push(runFigures(report, size, 2));
  const more = counted(report, "two");
  cell.counted = cell.counted === undefined ? more : add(cell.counted, more);
}

async function pages(machine: StepMachine, cell: Pages, count: number, round: number): Promise<void> {
  const number = Math.ceil(count / MESSAGES_PER_PAGE);
  const { ms, sums } = await machine.pages(cell.tx, number);
  if (round === 0) return;
  cell.msPerPage.push(ms / number);
  cell.pages += number;
  Object.assign(cell.sums, add(cell.sums, sums));
}
