/** Puts a program, the code and a memory model together. */
import type { Access, NameOf } from "./access.ts";
import { type Exploration, explore } from "./explore.ts";
import { HappensBefore } from "./happens-before.ts";
import type { Loaded } from "./load.ts";
import type { Machine, MemoryModel } from "./machine.ts";
import type { Program } from "./program.ts";
import { SharedBytes } from "./stand-ins.ts";
import { StoreBuffers } from "./store-buffers.ts";
import { ThreadTree } from "./thread-tree.ts";

/** Takes a barrier away, whatever the source looks like: an atomic store of this thread to this field becomes plain. */
export interface PlainStoreFault {
  readonly thread: string;
  readonly field: string;
}

export interface RunOptions {
  readonly model: MemoryModel;
  readonly plainStore?: PlainStoreFault;
  readonly maxStates?: number;
}

export interface RunResult extends Exploration {
  readonly program: Program;
  readonly model: MemoryModel;
  /** How often threads were run from their start to find out what they do next. */
  readonly runs: number;
  /** How often the fault took place in some run. */
  readonly faults: number;
}

export function run({ code, standIns }: Loaded, program: Program, options: RunOptions): RunResult {
  const { model, plainStore, maxStates } = options;
  const bytes = new SharedBytes(0, program.bytes);
  const world = { code, bytes, words: standIns.words(bytes) };
  let image: Uint8Array = new Uint8Array(program.bytes);
  let faults = 0;
  const threads = program.threads.map((thread) => {
    const rewrite = (access: Access): Access => {
      if (plainStore?.thread !== thread.name || !isAtomicStoreTo(access, plainStore.field, program.nameOf))
        return access;
      faults++;
      return { ...access, atomic: false };
    };
    const tree = new ThreadTree({ program: thread, standIns, world, image, rewrite });
    image = tree.imageAfter;
    return tree;
  });
  const machine: Machine =
    model === "race-free" ? new HappensBefore(threads, image, program.nameOf) : new StoreBuffers(model, threads, image);
  const exploration = explore(machine, maxStates);
  const runs = threads.reduce((sum, tree) => sum + tree.runs, 0);
  return { ...exploration, program, model, runs, faults };
}

function isAtomicStoreTo(access: Access, field: string, nameOf: NameOf): access is Access & { kind: "store" } {
  return access.kind === "store" && access.atomic && nameOf(access.at) === field;
}
