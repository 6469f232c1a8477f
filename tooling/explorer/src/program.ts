/** A short program of a few threads over shared memory, whose every interleaving is explored. */
import type { NameOf } from "./access.ts";
import type { Loaded } from "./load.ts";
import type { SharedBytes } from "./stand-ins.ts";

/** What a thread works with. */
export interface World {
  readonly code: Loaded["code"];
  /** The program's shared memory, all zero before the first thread starts. */
  readonly bytes: SharedBytes;
  /** The same as words. */
  readonly words: Int32Array;
  /** Rings an abstract doorbell: the word at this address. */
  ring(at: number): void;
  /** Waits until the doorbell is rung, and takes the ring. */
  sleep(at: number): void;
}

export interface ThreadProgram {
  readonly name: string;
  /**
   * Builds what the thread owns: not explored, it runs before the threads do, one after the other. Returns what is
   * explored: it must do the same whenever its loads return the same, end by itself, and throw what it finds wrong.
   */
  start(world: World): () => void;
}

export interface Program {
  readonly name: string;
  /** Size of the shared memory. */
  readonly bytes: number;
  readonly threads: readonly ThreadProgram[];
  readonly nameOf: NameOf;
}

/** What a program found wrong. */
class Finding extends Error {
  override readonly name = "Finding";
}

/** @throws Finding unless it holds. */
export function expectThat(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Finding(otherwise);
}
