/** A program's life as its machine tells it: it may say once that it is ready, and it ends once. */
import type { ProgramExit, RunningProgram } from "./machine.ts";

/** Whoever is told what becomes of a program. */
export interface ProgramObserver {
  /** `sys.ready()` was called; called from within it. */
  announceReady(): void;
  end(exit: ProgramExit): void;
}

export class ProgramRun implements RunningProgram, ProgramObserver {
  readonly ready: Promise<"ready" | "ended">;
  readonly ended: Promise<ProgramExit>;
  readonly #settle: { ready(outcome: "ready"): void; ended(exit: ProgramExit): void };

  constructor() {
    const settle = { ready: (_: "ready"): void => {}, ended: (_: ProgramExit): void => {} };
    const isReady = new Promise<"ready">((resolve) => {
      settle.ready = resolve;
    });
    this.ended = new Promise((resolve) => {
      settle.ended = resolve;
    });
    this.ready = Promise.race([isReady, this.ended.then((): "ended" => "ended")]);
    this.#settle = settle;
  }

  announceReady(): void {
    this.#settle.ready("ready");
  }

  /** The first end counts. */
  end(exit: ProgramExit): void {
    this.#settle.ended(exit);
  }
}
