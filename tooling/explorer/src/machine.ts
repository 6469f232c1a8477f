/** A memory model: which steps the threads of a program can take from a state. A state is a few small numbers. */
import type { Access } from "./access.ts";
import type { ThreadTree } from "./thread-tree.ts";

export type State = readonly number[];

/** What happened in a step, for the trace. */
export interface Step {
  readonly thread: number;
  readonly access: Access;
  /** `drains`: a store leaves the thread's buffer; `sleeps`: a wait found what it expected and goes to sleep. */
  readonly phase: "performs" | "buffers" | "drains" | "sleeps";
  /** What a load, a modification or a wait returned. */
  readonly result: number | undefined;
  /** Something beside the value: whom a notification woke, that a load was served from the thread's own buffer. */
  readonly note?: string;
}

/** One step that others can tell, and those behind it that they cannot. */
export interface Transition {
  readonly steps: readonly Step[];
  readonly next: State;
  /** What the last step did wrong by itself: a data race. */
  readonly failure?: string;
}

export interface Machine {
  readonly initial: State;
  /** Where each thread stands. */
  readonly threads: readonly ThreadTree[];
  nodeId(state: State, thread: number): number;
  transitions(state: State): readonly Transition[];
}

export type MemoryModel = "tso" | "pso" | "race-free";
