/** What `serve` and `run` share: boot a program, forward ports, wait for the end or a signal, stop in order. */

import { fileURLToPath } from "node:url";
import {
  createMachine,
  type Forward,
  type ForwardOptions,
  type Machine,
  type MachineOptions,
  type MachineStats,
  type Program,
  type ProgramExit,
} from "@toril/machine";
import { catchSignals } from "./signals.ts";
import { CommandError, UsageError } from "./usage.ts";

export interface Session {
  readonly machine: MachineOptions;
  readonly program: Program;
  readonly forwards: readonly ForwardOptions[];
  /**
   * When the ports open. `ready`: with `sys.ready()`, so that whoever reads the address is served. `started`: at once,
   * for a program that may listen at any time, and need not say so.
   */
  readonly opens: "ready" | "started";
  /** How long a program that was asked to stop may take, in milliseconds. */
  readonly graceMs: number;
  /** Told once the ports are open. */
  onOpen(machine: Machine, forwards: readonly Forward[]): void;
  /** Told the counters, before everything is let go. */
  onEnd(stats: MachineStats): void;
  say(line: string): void;
}

/** @returns the exit code: the program's own, 0 after a signal. @throws what the program threw */
export async function runSession(session: Session): Promise<number> {
  // From the start: a signal that comes while the machine boots stops it in order, too.
  const signals = catchSignals((signal) => session.say(`${signal}: stopping; once more to stop at once`));
  try {
    const machine = await createMachine(session.machine).catch(explainBoot);
    try {
      for (const line of machine.description) session.machine.log?.info(line);
      const ended = runProgram(machine, session);
      const exit = await Promise.race([ended, signals.first.then((): "signal" => "signal")]);
      session.onEnd(await machine.stats());
      if (exit === "signal") return 0;
      if (exit.kind === "failed") throw exit.error;
      return exitCode(exit.code);
    } finally {
      await machine.stop({ graceMs: session.graceMs });
    }
  } finally {
    signals.release();
  }
}

async function runProgram(machine: Machine, session: Session): Promise<ProgramExit> {
  const program = await machine.start(session.program).catch(explainProgram);
  if (session.opens === "started" || (await program.ready) === "ready") {
    const forwards: Forward[] = [];
    for (const options of session.forwards) forwards.push(await machine.forward(options).catch(explain));
    session.onOpen(machine, forwards);
  }
  return program.ended;
}

/** What a shell can be told: anything else would come out as something else. */
function exitCode(code: unknown): number {
  if (typeof code === "number" && Number.isInteger(code) && code >= 0 && code <= 255) return code;
  throw new CommandError(`main returned ${String(code)}: return nothing, or an exit code from 0 to 255`);
}

/** Failures of the surroundings (a port in use, no such directory) are told in one line; the rest keeps its stack. */
function explain(error: unknown): never {
  if (error instanceof Error && "code" in error && typeof error.code === "string" && /^E[A-Z]+$/.test(error.code)) {
    throw new CommandError(error.message, { cause: error });
  }
  throw error;
}

function explainBoot(error: unknown): never {
  if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
  return explain(error);
}

const NO_MAIN = /^exec: ENOENT: (?<module>\S+) (?<what>exports no function \w+\(sys\))/;

/**
 * What the program's own module throws keeps its stack, whatever its code; a module that is no program has none. Nor has one
 * that cannot be loaded: the stack would be the loader's.
 */
function explainProgram(error: unknown): never {
  if (!(error instanceof Error)) throw error;
  const { module, what } = NO_MAIN.exec(error.message)?.groups ?? {};
  if (module !== undefined) {
    throw new CommandError(`${fileURLToPath(module)} ${what}: that is where a program starts`, { cause: error });
  }
  const unresolved = "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
  if (unresolved || error.name === "TransformError") {
    throw new CommandError(error.message, { cause: error });
  }
  throw error;
}
