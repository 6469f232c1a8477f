/**
 * A world in one thread whose order of events comes from a seed: the loops of cores and devices, the microtasks of their
 * programs, and what happens outside of them (clients, disks, faults), all in virtual time. The same seed gives the same
 * run, event by event.
 *
 * A loop is run the way a real one runs (kernel/src/hosted-loop.ts): it takes turns while it makes progress; when it finds
 * nothing, after all microtasks have run, it arms; then it sleeps, until its bell rings or its next timer is due. Nothing
 * else wakes it, so a forgotten wake-up shows as a world in which nothing moves any more.
 *
 * All microtasks have run: of that there is one certain sign, a macrotask. `drained` waits for one. Between turns that
 * need no certainty a few microtasks are let run, as many as the seed says: so programs are resumed between any two turns.
 */
import { type Core, SeededRandom, TimerQueue, VirtualTime } from "@toril/kernel";
import type { Timer } from "@toril/virtio/platform";
import { Trace } from "./trace.ts";

/** What the world asks of a core. */
export type SimulatedLoop = Pick<Core, "turn" | "arm" | "untilDeadline" | "seen" | "bell">;

export interface SimulationOptions {
  readonly seed: number;
  /** Settles when all microtasks have run (setImmediate). Nothing else in the process may use it meanwhile. */
  readonly drained: () => Promise<void>;
  /** `hash` unless told. */
  readonly trace?: "hash" | "lines";
  /** The longest that a turn takes, in virtual milliseconds; 0.05 unless told. */
  readonly turnMs?: number;
}

/** Why the world could not go on to what was waited for. */
export class SimulationError extends Error {
  override readonly name = "SimulationError";
}

interface LoopState {
  readonly name: string;
  readonly loop: SimulatedLoop;
  /** It has found nothing to do, and arms next. Others may come in between, as on another processor. */
  arms: boolean;
  /** The bell's count from which it sleeps; undefined: it is awake. */
  asleepSince: number | undefined;
  stalledUntil: number;
}

const START = 1_000;
/** Steps that may follow each other without the clock reaching a millisecond more: beyond, something spins. */
const MAX_STEPS = 2_000_000;
/** Of so many steps, one waits until all microtasks have run; behind the others a few of them run. */
const DRAIN_ONE_IN = 4;
const MAX_HOPS = 4;

export class Simulation {
  readonly time: VirtualTime = new VirtualTime(START);
  readonly trace: Trace;
  readonly seed: number;
  readonly #drained: () => Promise<void>;
  readonly #order: SeededRandom;
  readonly #turnMs: number;
  readonly #loops: LoopState[] = [];
  readonly #outside: TimerQueue;
  #outsideFailure: unknown;
  /** Whether every microtask has run since anything was done. */
  #settled = false;

  constructor(options: SimulationOptions) {
    this.seed = options.seed;
    this.trace = new Trace(options.trace ?? "hash");
    this.#drained = options.drained;
    this.#turnMs = options.turnMs ?? 0.05;
    this.#order = this.random("order of events");
    const onError = (error: unknown): void => {
      this.#outsideFailure ??= error;
    };
    this.#outside = new TimerQueue({ now: this.time.now, onError });
  }

  /** A source of chance of its own: what one part of the world draws does not change what another one gets. */
  random(purpose: string): SeededRandom {
    let mixed = Math.imul(this.seed ^ 0x5bd1_e995, 0x9e37_79b1);
    for (let i = 0; i < purpose.length; i++) mixed = Math.imul(mixed ^ purpose.charCodeAt(i), 0x0100_0193);
    return new SeededRandom(mixed ^ (mixed >>> 15));
  }

  now(): number {
    return this.time.now();
  }

  /** @returns takes it out of the world again. */
  addLoop(name: string, loop: SimulatedLoop): () => void {
    const state: LoopState = { name, loop, arms: false, asleepSince: undefined, stalledUntil: 0 };
    this.#loops.push(state);
    return () => void this.#loops.splice(this.#loops.indexOf(state), 1);
  }

  /** The loop gets no turn for so long: its thread was not scheduled, its disk was slow. */
  stall(name: string, milliseconds: number): void {
    for (const state of this.#loops) if (state.name === name) state.stalledUntil = this.now() + milliseconds;
  }

  /** Something outside of the machine happens after so many virtual milliseconds. */
  after(milliseconds: number, event: string, happen: () => void): Timer {
    return this.#outside.after(milliseconds, () => {
      this.note(event);
      happen();
    });
  }

  /** The same as a promise. */
  sleep(milliseconds: number, event: string): Promise<void> {
    return new Promise((resolve) => void this.after(milliseconds, event, resolve));
  }

  note(event: string): void {
    this.trace.note(this.now(), event);
  }

  /**
   * Runs the world until `work` settles.
   * @throws SimulationError when it does not within `withinMs` virtual milliseconds, or nothing moves any more; whatever
   * `work` rejects with; whatever something outside has thrown
   */
  async run<T>(what: string, work: Promise<T>, withinMs: number): Promise<T> {
    let over = false;
    const settled = (): void => {
      over = true;
    };
    work.then(settled, settled);
    const outcome = await this.#go(() => over, this.now() + withinMs);
    if (outcome === "done") return work;
    const why = outcome === "idle" ? "nothing moves any more" : `${withinMs} virtual milliseconds have passed`;
    throw new SimulationError(`${what} has not ended: ${why}`);
  }

  /** Runs the world until nothing moves, or for so long. */
  async quiet(forMs: number): Promise<void> {
    await this.#go(() => false, this.now() + forMs);
  }

  async #go(done: () => boolean, deadline: number): Promise<"done" | "idle" | "deadline"> {
    this.#settled = false; // the caller has done something
    let steps = 0;
    let since = this.now();
    for (;;) {
      if (this.#outsideFailure !== undefined) throw this.#outsideFailure;
      if (done()) return "done";
      if (this.now() > since + 1) {
        since = this.now();
        steps = 0;
      }
      if (++steps > MAX_STEPS) throw new SimulationError("the loops spin: much is done, and no time passes");
      const ready = this.#loops.filter((state) => this.#isReady(state));
      const outside = this.#outside.nextDue <= this.now();
      const choices = ready.length + (outside ? 1 : 0);
      if (choices === 0) {
        if (!this.#settled) {
          await this.#drain();
          continue;
        }
        const next = this.#nextEvent();
        this.time.advanceTo(Math.min(next, deadline));
        if (next > deadline) return next === Number.POSITIVE_INFINITY ? "idle" : "deadline";
        continue;
      }
      if (this.now() > deadline) return "deadline";
      const chosen = ready[this.#order.next(choices)];
      if (chosen === undefined) this.#somethingOutside();
      else await this.#turn(chosen);
      if (!this.#settled) await this.#letRun();
    }
  }

  #isReady({ loop, asleepSince, stalledUntil }: LoopState): boolean {
    if (stalledUntil > this.now()) return false;
    return asleepSince === undefined || loop.bell.read() !== asleepSince || loop.untilDeadline <= 0;
  }

  #nextEvent(): number {
    let next = this.#outside.nextDue;
    for (const { loop, asleepSince, stalledUntil } of this.#loops) {
      const rung = asleepSince === undefined || loop.bell.read() !== asleepSince;
      const wakes = rung ? this.now() : this.now() + loop.untilDeadline;
      next = Math.min(next, Math.max(wakes, stalledUntil));
    }
    return next;
  }

  #somethingOutside(): void {
    this.#outside.fire();
    this.#settled = false;
  }

  async #turn(state: LoopState): Promise<void> {
    const { name, loop } = state;
    if (state.arms) {
      state.arms = false;
      if (!loop.arm()) {
        state.asleepSince = loop.seen;
        this.note(`${name} sleeps`);
      }
      this.#settled = false;
      return;
    }
    const certain = this.#settled;
    state.asleepSince = undefined;
    const progress = loop.turn();
    this.time.advanceTo(this.now() + (this.#turnMs * this.#order.next(64)) / 64);
    if (progress) {
      this.note(name);
      this.#settled = false;
    } else if (!certain) {
      // A thread may need a few microtasks more: only a turn that finds all of them done may decide.
      await this.#drain();
    } else {
      state.arms = true;
    }
  }

  async #letRun(): Promise<void> {
    if (this.#order.next(DRAIN_ONE_IN) === 0) {
      await this.#drain();
      return;
    }
    for (let hops = this.#order.next(MAX_HOPS + 1); hops > 0; hops--) await undefined;
  }

  async #drain(): Promise<void> {
    await this.#drained();
    this.#settled = true;
  }
}
