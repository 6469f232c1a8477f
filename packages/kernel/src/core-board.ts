/**
 * What the cores of a machine must know of each other, in a SharedArrayBuffer of the host's own: each core's wake word,
 * whether it lives, and whether it was asked to stop. Written by the cores for themselves and by a supervisor (who sees a
 * thread die); guest memory never holds any of it.
 *
 * | words        | header    | per core (one cache line each)                       |
 * |--------------|-----------|-------------------------------------------------------|
 * | 0            | changes   | wake word: rings                                      |
 * | 1            | cores     | wake word: waiters                                    |
 * | 2            |           | state                                                 |
 * | 3            |           | 1: asked to stop                                      |
 */
import { WAKE_WORD_LENGTH, WakeWord } from "./wake-word.ts";

const CORE_STATES = ["starting", "running", "stopped", "dead"] as const;
/** `stopped`: it ended in order; `dead`: its thread is gone. */
export type CoreState = (typeof CORE_STATES)[number];

/** A cache line of 64 bytes: cores that write their own words do not slow each other down. */
const LINE = 16;
const CHANGES = 0;
const CORES = 1;
const STATE = WAKE_WORD_LENGTH;
const STOP = WAKE_WORD_LENGTH + 1;

/** A reason above what one machine's threads can be. */
const MAX_CORES = 64;

export class CoreBoard {
  /** Post it to the workers of the machine. */
  readonly buffer: SharedArrayBuffer;
  readonly cores: number;
  readonly #words: Int32Array;

  /** @throws RangeError unless there are 1 to 64 cores. */
  static create(cores: number): CoreBoard {
    if (!Number.isInteger(cores) || cores < 1 || cores > MAX_CORES) {
      throw new RangeError(`a machine of ${cores} cores cannot be made: use 1 to ${MAX_CORES}`);
    }
    const buffer = new SharedArrayBuffer((cores + 1) * LINE * Int32Array.BYTES_PER_ELEMENT);
    Atomics.store(new Int32Array(buffer), CORES, cores);
    return new CoreBoard(buffer);
  }

  /** The board behind a buffer that was posted here. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.cores = Atomics.load(this.#words, CORES);
  }

  /** A core's doorbell. Its own loop and every peer have one object each over the same words. */
  bell(core: number): WakeWord {
    return new WakeWord(this.#words, this.#line(core));
  }

  /** Changes with every change of a state and every request to stop: one load tells that there is nothing new. */
  get changes(): number {
    return Atomics.load(this.#words, CHANGES);
  }

  state(core: number): CoreState {
    return CORE_STATES[Atomics.load(this.#words, this.#line(core) + STATE)] ?? "dead";
  }

  /** Whether nothing will ever come from this core again. */
  isGone(core: number): boolean {
    const state = this.state(core);
    return state === "stopped" || state === "dead";
  }

  /** For the core itself, or its supervisor. Wakes all cores. A core that is gone stays gone. */
  setState(core: number, state: CoreState): void {
    if (this.isGone(core)) return;
    Atomics.store(this.#words, this.#line(core) + STATE, CORE_STATES.indexOf(state));
    this.#tellAll();
  }

  /** For the supervisor: asks a core to stop. */
  requestStop(core: number): void {
    Atomics.store(this.#words, this.#line(core) + STOP, 1);
    this.#tellAll();
  }

  stopRequested(core: number): boolean {
    return Atomics.load(this.#words, this.#line(core) + STOP) !== 0;
  }

  #tellAll(): void {
    Atomics.add(this.#words, CHANGES, 1);
    for (let core = 0; core < this.cores; core++) this.bell(core).ring();
  }

  #line(core: number): number {
    if (!Number.isInteger(core) || core < 0 || core >= this.cores) {
      throw new RangeError(`there is no core ${core}: the machine has ${this.cores}`);
    }
    return (core + 1) * LINE;
  }
}
