/** A program's life as its machine tells it: it may say once that it is ready, and it ends once. */
import type { ProgramExit, RunningProgram } from "./machine.ts";

export class ProgramRun implements RunningProgram {
  readonly ready: Promise<"ready" | "ended">;
  readonly ended: Promise<ProgramExit>;
  /** `sys.ready()` was called. Does nothing the second time. */
  announceReady: () => void = () => {};
  /** The first end counts. */
  end: (exit: ProgramExit) => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
    const isReady = new Promise<"ready">((resolve) => {
      this.announceReady = () => resolve("ready");
    });
    this.ready = Promise.race([isReady, this.ended.then((): "ended" => "ended")]);
  }
}
