/**
 * Who is measured when. One round takes every cell once: each subject, size and mode, with the payload read and unread;
 * so a noisy second hits all of them. Before the first round each cell has its payloads checked, and finds out how long its
 * messages take; after the last one, round trips are traced.
 */
import { cpus, release, totalmem } from "node:os";
import type { MachineKind } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import { type Conditions, PRESETS } from "./conditions.ts";
import type { Job, Mode, Payload } from "./job.ts";
import { add, type Counted, counted, type RunFigures, runFigures } from "./measures.ts";
import type { PingPongOptions, Watcher } from "./options.ts";
import type { Peer, PeerName } from "./peers/peer.ts";
import { whyNotPinned } from "./peers/pinning.ts";
import { startPeers } from "./peers/start.ts";
import { type Stages, stagesOf } from "./stages.ts";
import { MeasuredMachine, receiveOf } from "./subjects.ts";

/** What all runs together may take, in milliseconds; the table is there within two minutes. */
const TOTAL_MS = 75_000;
const ROUNDS = 5;
/** What a run costs beside its messages: a connection, the job, the report. */
const RUN_COST_MS = 6;
const RUN_MS = { min: 4, max: 80 } as const;
const MESSAGES = { min: 10, max: 20_000 } as const;
const CHECKED_MESSAGES = 4;
/** Messages by which a cell finds out how long one takes. */
const FIRST_MESSAGES = 24;
const TRACED_MESSAGES = 100;
const TRACED_MS = 40;
/** A run that takes this long has hung. */
const HUNG_MS = 60_000;

export type Payloads = Exclude<Payload, "checked">;

/** All rounds of one cell and payload. */
export interface Rounds {
  readonly figures: RunFigures[];
  /** Of machines: summed up. */
  counted: Counted | undefined;
}

interface CellBase {
  readonly size: number;
  readonly mode: Mode;
  readonly unread: Rounds;
  readonly read: Rounds;
}

export interface MachineCell extends CellBase {
  readonly kind: "machine";
  readonly machine: MachineKind;
  readonly tx: TxPath;
  readonly receive: Job["receive"];
  /** Where the time of a round trip goes. */
  stages: Stages | undefined;
}

export interface PeerCell extends CellBase {
  readonly kind: "peer";
  readonly name: PeerName;
}

export type Cell = MachineCell | PeerCell;

export interface Missing {
  readonly name: string;
  readonly reason: string;
}

export interface Outcome {
  readonly machine: string;
  readonly conditions: Conditions;
  readonly preset: string;
  readonly cells: readonly Cell[];
  /** Machines and peers that could not run, and why. */
  readonly missing: readonly Missing[];
  readonly rounds: number;
  readonly elapsedMs: number;
  /** `partial`: it was ended before all rounds were done. */
  readonly completeness: "complete" | "partial";
}

interface Subject {
  readonly name: string;
  readonly cells: readonly Cell[];
  run(job: Job): Promise<{
    readonly figures: RunFigures;
    readonly counted: Counted | undefined;
    readonly stages: Stages | undefined;
  }>;
  stop(): Promise<void>;
}

/** @throws Error when a machine that is required cannot run, a payload arrives wrong, or a run hangs */
export async function runPingPong(options: PingPongOptions, watcher: Watcher): Promise<Outcome> {
  const startedAt = performance.now();
  const conditions = conditionsOf(options);
  const subjects: Subject[] = [];
  const missing: Missing[] = [];
  try {
    await mustPin(conditions.cpus);
    for (const kind of options.machines) {
      watcher.progress(`boots the ${kind} machine`, 0);
      try {
        subjects.push(
          machineSubject(await MeasuredMachine.boot(kind, options.modules, conditions), options, conditions),
        );
      } catch (error) {
        if (options.machinesAre === "required") throw error;
        missing.push({ name: `${kind} machine`, reason: error instanceof Error ? error.message : String(error) });
      }
    }
    if (options.peers === "all") {
      watcher.progress("starts the peers", 0);
      const { process, sources } = options.modules;
      const found = await startPeers({ process, sources, cpus: conditions.cpus });
      for (const peer of found.peers) subjects.push(peerSubject(peer, options));
      missing.push(...found.missing);
    }
    const rounds = options.rounds ?? ROUNDS;
    const completeness = await new Schedule(subjects, options, rounds, watcher).run();
    return {
      machine: machineDescription(),
      conditions,
      preset: options.preset,
      cells: subjects.flatMap(({ cells }) => cells),
      missing,
      rounds,
      elapsedMs: performance.now() - startedAt,
      completeness,
    };
  } finally {
    await Promise.all(subjects.map((subject) => subject.stop()));
  }
}

/** @throws Error when the processors cannot be had: figures of threads that wander would be taken for others */
async function mustPin(cpus: Conditions["cpus"]): Promise<void> {
  for (const cpu of cpus ?? []) {
    const reason = await whyNotPinned(cpu);
    if (reason !== undefined) throw new Error(`cannot pin to processor ${cpu}: ${reason}`);
  }
}

function conditionsOf({ preset, cpus: given }: PingPongOptions): Conditions {
  const conditions: Conditions = PRESETS[preset];
  return given === undefined ? conditions : { ...conditions, cpus: given };
}

/** The computer that the figures are from: they mean nothing without it. */
function machineDescription(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpu?.model ?? "unknown CPU"}, ${memory} GiB, ${process.platform} ${release()}, Node ${process.version}`;
}

function machineSubject(machine: MeasuredMachine, options: PingPongOptions, conditions: Conditions): Subject {
  const cells = options.tx.flatMap((tx) =>
    eachCell(
      options,
      (base): MachineCell => ({
        ...{ ...base, kind: "machine", machine: machine.kind, tx },
        ...{ receive: receiveOf(tx, conditions), stages: undefined },
      }),
    ),
  );
  return {
    name: machine.kind,
    cells,
    async run(job) {
      const report = await machine.run(job);
      return {
        figures: runFigures(report, job.size, job.mode === "rtt" ? 2 : 1),
        counted: counted(report, machine.loops),
        stages: job.trace === "on" ? stagesOf(report, machine.loops) : undefined,
      };
    },
    stop: () => machine.stop(),
  };
}

function peerSubject(peer: Peer, options: PingPongOptions): Subject {
  return {
    name: peer.name,
    cells: eachCell(options, (base): PeerCell => ({ ...base, kind: "peer", name: peer.name })),
    async run(job) {
      const report = await peer.run(job);
      const figures = runFigures(report, job.size, job.mode === "rtt" ? 2 : 1);
      return { figures, counted: undefined, stages: undefined };
    },
    stop: () => peer.stop(),
  };
}

function eachCell<T>({ sizes, modes }: PingPongOptions, make: (base: CellBase) => T): T[] {
  return modes.flatMap((mode) =>
    sizes.map((size) => {
      const none = (): Rounds => ({ figures: [], counted: undefined });
      return make({ size, mode, unread: none(), read: none() });
    }),
  );
}

const PAYLOADS: readonly Payloads[] = ["unread", "read"];

class Schedule {
  readonly #subjects: readonly Subject[];
  readonly #options: PingPongOptions;
  readonly #rounds: number;
  readonly #watcher: Watcher;
  readonly #runMs: number;
  /** Messages of a cell's runs. */
  readonly #counts = new Map<Cell, number>();
  readonly #steps: number;
  #step = 0;

  constructor(subjects: readonly Subject[], options: PingPongOptions, rounds: number, watcher: Watcher) {
    this.#subjects = subjects;
    this.#options = options;
    this.#rounds = rounds;
    this.#watcher = watcher;
    const cells = subjects.reduce((sum, subject) => sum + subject.cells.length, 0);
    this.#steps = cells * (rounds + 1);
    const runs = cells * PAYLOADS.length * rounds;
    this.#runMs = Math.min(RUN_MS.max, Math.max(RUN_MS.min, TOTAL_MS / runs - RUN_COST_MS));
  }

  async run(): Promise<Outcome["completeness"]> {
    if (!(await this.#eachCell((subject, cell) => this.#prepare(subject, cell), "checks payloads"))) return "partial";
    for (let round = 1; round <= this.#rounds; round++) {
      const what = `round ${round} of ${this.#rounds}`;
      if (!(await this.#eachCell((subject, cell) => this.#round(subject, cell), what))) return "partial";
    }
    return "complete";
  }

  /** `false` when it was told to stop. The subjects take turns: size by size. */
  async #eachCell(work: (subject: Subject, cell: Cell) => Promise<void>, what: string): Promise<boolean> {
    const most = Math.max(0, ...this.#subjects.map(({ cells }) => cells.length));
    for (let i = 0; i < most; i++) {
      for (const subject of this.#subjects) {
        const cell = subject.cells[i];
        if (cell === undefined) continue;
        if (this.#watcher.signal.aborted) return false;
        this.#watcher.progress(`${what}: ${subject.name}`, this.#step++ / this.#steps);
        try {
          await within(work(subject, cell), `${subject.name}, ${cell.mode}, ${cell.size} bytes`);
        } catch (error) {
          // A signal ends processes of ours, too: what they say then is nothing new.
          if (this.#watcher.signal.aborted) return false;
          throw error;
        }
      }
    }
    return true;
  }

  async #prepare(subject: Subject, cell: Cell): Promise<void> {
    await subject.run({ ...this.#job(cell, "checked"), warmUp: 1, count: CHECKED_MESSAGES - 2 });
    const { count } = this.#options;
    if (count !== undefined) {
      this.#counts.set(cell, count);
      return;
    }
    const first = { warmUp: 4, count: FIRST_MESSAGES };
    const { figures } = await subject.run({ ...this.#job(cell, "unread"), ...first });
    // A first run is a slow one: this is too few rather than too many, and found better in the first round.
    this.#counts.set(cell, this.#countFor(figures.p50));
  }

  async #round(subject: Subject, cell: Cell): Promise<void> {
    const count = this.#counts.get(cell) ?? MESSAGES.min;
    const warmUp = Math.max(1, Math.min(200, Math.ceil(count / 10)));
    for (const payload of PAYLOADS) {
      const run = await subject.run({ ...this.#job(cell, payload), warmUp, count });
      const rounds = cell[payload];
      rounds.figures.push(run.figures);
      if (run.counted === undefined) continue;
      rounds.counted = rounds.counted === undefined ? run.counted : add(rounds.counted, run.counted);
    }
    const { figures } = cell.unread;
    const [first] = figures;
    if (this.#options.count === undefined && first !== undefined && figures.length === 1) {
      this.#counts.set(cell, this.#countFor(cell.mode === "rtt" ? first.p50 : cell.size / first.mbPerS));
    }
    if (figures.length === this.#rounds && cell.kind === "machine" && cell.mode === "rtt") {
      await this.#trace(subject, cell, count);
    }
  }

  async #trace(subject: Subject, cell: MachineCell, count: number): Promise<void> {
    const p50 = cell.unread.figures.at(-1)?.p50 ?? 1;
    const traced = Math.min(count, TRACED_MESSAGES, Math.max(MESSAGES.min, Math.round((TRACED_MS * 1_000) / p50)));
    const warmUp = Math.min(count, 100);
    const run = await subject.run({ ...this.#job(cell, "unread"), trace: "on", warmUp, count: traced });
    cell.stages = run.stages;
  }

  /** @param messageUs what one takes, in microseconds */
  #countFor(messageUs: number): number {
    return Math.round(Math.min(MESSAGES.max, Math.max(MESSAGES.min, (this.#runMs * 1_000) / messageUs)));
  }

  #job(cell: Cell, payload: Payload): Job {
    const { size, mode } = cell;
    const [tx, receive] = cell.kind === "machine" ? [cell.tx, cell.receive] : (["one-copy", "copy"] as const);
    return { mode, size, warmUp: 0, count: 0, payload, tx, receive, trace: "off" };
  }
}

/** Nobody waits for a run that has hung. */
async function within(work: Promise<void>, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: a run did not end within ${HUNG_MS / 1000} s`)), HUNG_MS);
  });
  try {
    await Promise.race([work, hung]);
  } finally {
    clearTimeout(timer);
  }
}
