/** What `serve` and `run` share: boot a program, forward ports, wait for the end or a signal, stop in order. */

import type { MachineStats, ProgramExit } from "@toril/machine";
import {
  createMachine,
  type Forward,
  type ForwardOptions,
  type Machine,
  type MachineOptions,
  type Program,
} from "@toril/machine";
import { stopSignal } from "./signals.ts";
import { CommandError } from "./usage.ts";

export interface Session {
  readonly machine: MachineOptions;
  readonly program: Program;
  readonly forwards: readonly ForwardOptions[];
  /** How long a program that was asked to stop may take, in milliseconds. */
  readonly graceMs: number;
  /** Told once the program is ready and the ports are open. */
  onReady(machine: Machine, forwards: readonly Forward[]): void;
  /** Told the counters, before everything is let go. */
  onEnd(stats: MachineStats): void;
  say(line: string): void;
}

/** @returns the exit code: the program's own, 0 after a signal, 1 when it failed */
export async function runSession(session: Session): Promise<number> {
  const machine = await createMachine(session.machine).catch(inOneLine);
  try {
    for (const line of machine.description) session.machine.log?.info(line);
    const program = await machine.start(session.program);
    const outcome = await program.ready;
    const forwards: Forward[] = [];
    if (outcome === "ready") {
      for (const options of session.forwards) forwards.push(await machine.forward(options).catch(inOneLine));
      session.onReady(machine, forwards);
    }
    const signalled = stopSignal((signal) => session.say(`${signal}: stopping; once more to stop at once`));
    const exit = await Promise.race([
      program.ended,
      signalled.then((): ProgramExit => ({ kind: "returned", code: 0 })),
    ]);
    session.onEnd(await machine.stats());
    if (exit.kind === "failed") throw exit.error;
    return exit.code;
  } finally {
    await machine.stop({ graceMs: session.graceMs });
  }
}

/** Failures of the surroundings (a port in use, no such directory) are told in one line; the rest keeps its stack. */
function inOneLine(error: unknown): never {
  if (error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("E")) {
    throw new CommandError(error.message, { cause: error });
  }
  throw error;
}
