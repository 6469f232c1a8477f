/**
 * Who is measured when. One round takes every cell once: each subject, size and mode, with the payload read and unread;
 * so a noisy second hits all of them. Before the first round each cell has its payloads checked, and finds out how long its
 * messages take; after the last one, round trips are traced.
 */
import type { Job, Payload } from "./job.ts";
import { add, type RunFigures } from "./measures.ts";
import type { PingPongOptions, Watcher } from "./options.ts";
import type { Cell, Outcome, Subject } from "./outcome.ts";

/** What all runs together may take, in milliseconds: the table is there within two minutes. */
const TOTAL_MS = 85_000;
/** What a run costs beside its messages, about: a connection, the job, the report. */
const RUN_COST_MS = 10;
/** What a run may take. */
const RUN_MS = { min: 2, max: 80 } as const;
const MESSAGES = { min: 10, max: 20_000 } as const;
const WARM_UP = 200;
const CHECKED_MESSAGES = 4;
/** Messages by which a cell finds out how long one takes. */
const FIRST_MESSAGES = 24;
const TRACED_MESSAGES = { min: 10, max: 100 } as const;
const TRACED_MS = 40;
/** A run that takes this long has hung. */
const HUNG_MS = 60_000;

const PAYLOADS = ["unread", "read"] as const;

/** How far it came. */
export interface Progressed {
  readonly completeness: Outcome["completeness"];
  readonly rounds: number;
}

/**
 * The order of the runs, and how long each may take. All that is compared is measured close together: one mode and size
 * after the other, of each all subjects and paths.
 */
export class Schedule {
  readonly #options: PingPongOptions;
  readonly #rounds: number;
  readonly #watcher: Watcher;
  readonly #cells: readonly { readonly subject: Subject; readonly cell: Cell }[];
  /** Messages of a cell's runs. */
  readonly #counts = new Map<Cell, number>();
  /** What a cell's first messages took. */
  readonly #first = new Map<Cell, RunFigures>();
  #runMs: number;
  #step = 0;

  constructor(subjects: readonly Subject[], options: PingPongOptions, rounds: number, watcher: Watcher) {
    this.#options = options;
    this.#rounds = rounds;
    this.#watcher = watcher;
    const all = subjects.flatMap((subject) => subject.cells.map((cell) => ({ subject, cell })));
    this.#cells = options.modes.flatMap((mode) =>
      options.sizes.flatMap((size) => all.filter(({ cell }) => cell.mode === mode && cell.size === size)),
    );
    const runs = all.length * PAYLOADS.length * rounds;
    this.#runMs = clamp(TOTAL_MS / runs - RUN_COST_MS, RUN_MS);
  }

  async run(): Promise<Progressed> {
    const began = performance.now();
    const end = began + TOTAL_MS;
    if (!(await this.#eachCell((subject, cell) => this.#prepare(subject, cell), "checks payloads")))
      return this.#partial();
    const spareMs = (end - performance.now()) / this.#rounds - (performance.now() - began);
    this.#runMs = clamp(Math.min(this.#runMs, spareMs / (this.#cells.length * PAYLOADS.length)), RUN_MS);
    let round = 0;
    while (round < this.#rounds && (round === 0 || this.#mayGoOn(end))) {
      const since = performance.now();
      round++;
      const what = `round ${round} of ${this.#rounds}`;
      if (!(await this.#eachCell((subject, cell) => this.#round(subject, cell, round), what))) return this.#partial();
      this.#adapt(performance.now() - since, (end - performance.now()) / (this.#rounds - round));
    }
    if (!(await this.#eachCell((subject, cell) => this.#trace(subject, cell), "traces"))) return this.#partial();
    return { completeness: "complete", rounds: round };
  }

  #partial(): Progressed {
    const rounds = Math.max(0, ...this.#cells.map(({ cell }) => cell.unread.figures.length));
    return { completeness: "partial", rounds };
  }

  /** On a computer that is busy with other things there is time for fewer rounds; those that were asked for are done. */
  #mayGoOn(end: number): boolean {
    return this.#options.rounds !== undefined || performance.now() < end;
  }

  /** What was left out of the estimate (processes that start, a noisy neighbour) shows in how long things took. */
  #adapt(tookMs: number, mayTakeMs: number): void {
    if (this.#options.count !== undefined || !(mayTakeMs / tookMs > 0)) return;
    const runMs = clamp((this.#runMs * mayTakeMs) / tookMs, RUN_MS);
    const factor = runMs / this.#runMs;
    this.#runMs = runMs;
    for (const [cell, count] of this.#counts) this.#counts.set(cell, Math.round(clamp(count * factor, MESSAGES)));
  }

  /** `false` when it was told to stop. */
  async #eachCell(work: (subject: Subject, cell: Cell) => Promise<void>, what: string): Promise<boolean> {
    const steps = this.#cells.length * (this.#rounds + 2);
    for (const { subject, cell } of this.#cells) {
      if (this.#watcher.signal.aborted) return false;
      this.#watcher.progress(`${what}: ${subject.name}`, this.#step++ / steps);
      try {
        await within(work(subject, cell), `${subject.name}, ${cell.mode}, ${cell.size} bytes`);
      } catch (error) {
        // A signal ends processes of ours, too: what they say then is nothing new.
        if (this.#watcher.signal.aborted) return false;
        throw error;
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
    const { figures } = await subject.run({ ...this.#job(cell, "unread"), warmUp: 4, count: FIRST_MESSAGES });
    this.#first.set(cell, figures);
  }

  async #round(subject: Subject, cell: Cell, round: number): Promise<void> {
    const count = this.#countOf(cell);
    const warmUp = Math.max(1, Math.min(WARM_UP, Math.ceil(count / 10)));
    // By turns first: which processors the two sides begin on is not the same for the first run and the second.
    for (const payload of round % 2 === 1 ? PAYLOADS : [...PAYLOADS].reverse()) {
      const run = await subject.run({ ...this.#job(cell, payload), warmUp, count });
      const rounds = cell[payload];
      rounds.figures.push(run.figures);
      if (run.counted === undefined) continue;
      rounds.counted = rounds.counted === undefined ? run.counted : add(rounds.counted, run.counted);
    }
    const [first, second] = cell.unread.figures;
    if (this.#options.count === undefined && first !== undefined && second === undefined) {
      this.#counts.set(cell, this.#countFor(cell, first));
    }
  }

  /** In runs of their own: clocks that are read in between cost time. */
  async #trace(subject: Subject, cell: Cell): Promise<void> {
    if (cell.kind !== "machine" || cell.mode !== "rtt") return;
    const count = this.#countOf(cell);
    const messageMs = (cell.unread.figures.at(-1)?.p50 ?? 1) / 1_000;
    const traced = Math.min(count, Math.round(clamp(TRACED_MS / messageMs, TRACED_MESSAGES)));
    const warmUp = Math.min(count, WARM_UP);
    const run = await subject.run({ ...this.#job(cell, "unread"), trace: "on", warmUp, count: traced });
    cell.stages = run.stages;
  }

  #countOf(cell: Cell): number {
    const known = this.#counts.get(cell);
    if (known !== undefined) return known;
    // A first run is a slow one: this is too few rather than too many, and found better in the first round.
    const first = this.#first.get(cell);
    return first === undefined ? MESSAGES.min : this.#countFor(cell, first);
  }

  /** Messages that fit into a run, by the mean: some rounds have many slow ones. */
  #countFor({ size, mode }: Cell, { mbPerS }: RunFigures): number {
    const messageUs = (size * (mode === "rtt" ? 2 : 1)) / mbPerS;
    return Math.round(clamp((this.#runMs * 1_000) / messageUs, MESSAGES));
  }

  #job(cell: Cell, payload: Payload): Job {
    const { size, mode } = cell;
    const [tx, receive] = cell.kind === "machine" ? [cell.tx, cell.receive] : (["one-copy", "copy"] as const);
    return { mode, size, warmUp: 0, count: 0, payload, tx, receive, trace: "off" };
  }
}

function clamp(value: number, { min, max }: { readonly min: number; readonly max: number }): number {
  return Math.min(max, Math.max(min, value));
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
