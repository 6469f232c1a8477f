/** From what a caller names to a thread that runs. */
import type { ThreadExit } from "@toril/kernel";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { Guest } from "./guest.ts";
import type { Program, ProgramExit } from "./machine.ts";
import type { ProgramObserver } from "./program-run.ts";
import type { Main } from "./sys.ts";

/**
 * Loads the program and starts it as a thread of the guest. The observer is told what becomes of it.
 * @throws SystemError ENOENT when the module exports no such function; whatever importing it throws
 */
export async function startProgram(guest: Guest, program: Program, observer: ProgramObserver): Promise<void> {
  const main = await loadMain(program);
  const thread = guest.start(main, program.args, () => observer.announceReady());
  void thread.ended.then((exit) => observer.end(exitOf(exit)));
}

async function loadMain(program: Program): Promise<Main> {
  if ("main" in program) return program.main;
  const name = program.export ?? "main";
  const module: unknown = await import(program.module.href);
  const main: unknown = typeof module === "object" && module !== null ? Reflect.get(module, name) : undefined;
  if (typeof main === "function") return main as Main;
  throw new SystemError(Errno.ENOENT, "exec", `${program.module.href} exports no function ${name}(sys)`);
}

/** How a thread's end reads as a program's. One that was told to stop has done its job. */
function exitOf(exit: ThreadExit<number | undefined>): ProgramExit {
  switch (exit.kind) {
    case "returned":
      return exitWith(exit.value);
    case "failed":
      return { kind: "failed", error: exit.error };
    case "cancelled":
      return { kind: "returned", code: 0 };
    default:
      return exit satisfies never;
  }
}

/** A module is loaded by name: nothing has checked what its main returns. */
function exitWith(value: unknown): ProgramExit {
  if (value === undefined) return { kind: "returned", code: 0 };
  if (typeof value === "number" && Number.isInteger(value)) return { kind: "returned", code: value };
  return { kind: "failed", error: new TypeError(`main returned ${describe(value)}: return nothing, or an exit code`) };
}

function describe(value: unknown): string {
  return typeof value === "number" ? String(value) : `a ${typeof value}`;
}
