/**
 * What is ready to run on a core. A turn resumes what was ready at its start, each once and in order: what becomes ready
 * meanwhile waits for the next turn, so that devices and timers get their share between two rounds.
 */
import type { SeededRandom } from "./random.ts";

export type Resume = () => void;

export class RunQueue {
  #ready: Resume[] = [];
  #running: Resume[] = [];
  readonly #random: SeededRandom | undefined;
  readonly #onReady: () => void;

  /**
   * @param onReady called when the first one becomes ready; @param random puts each round into an order of its own, to
   * find what depends on the order: the same seed gives the same order.
   */
  constructor(onReady: () => void, random?: SeededRandom) {
    this.#onReady = onReady;
    this.#random = random;
  }

  get length(): number {
    return this.#ready.length;
  }

  /** Resumes must not throw: they settle promises. */
  readonly push = (resume: Resume): void => {
    this.#ready.push(resume);
    if (this.#ready.length === 1) this.#onReady();
  };

  /** Resumes one round. Whether there was anything. */
  run(): boolean {
    const round = this.#ready;
    if (round.length === 0) return false;
    this.#ready = this.#running;
    this.#running = round;
    this.#random?.shuffle(round);
    for (let i = 0; i < round.length; i++) round[i]?.();
    round.length = 0;
    return true;
  }
}
