/**
 * What all machines do alike: one program per machine, a stop that always ends, and after it nothing is left. What
 * differs is the hardware: which threads there are, and how they are reached.
 */
import type { HostProgram } from "./host-program.ts";
import type { Forward, ForwardOptions, Machine, MachineKind, Program, RunningProgram } from "./machine.ts";
import { ProgramRun } from "./program-run.ts";
import type { MachineStats } from "./stats.ts";
import { within } from "./within.ts";

/** A kind of machine, booted. None of its calls waits for a thread that has died or hangs. */
export interface Hardware {
  readonly kind: MachineKind;
  readonly description: readonly string[];
  /** Starts the program on core 0 and tells `run` what becomes of it. Rejects when it could not be started. */
  start(program: Program, run: ProgramRun): Promise<void>;
  forward(options: ForwardOptions): Promise<Forward>;
  runHost(program: HostProgram): Promise<unknown>;
  readonly hostSocket: string | undefined;
  stats(): Promise<MachineStats["parts"]>;
  /** `sys.stopping` fires on every core. */
  requestStop(): void;
  /** Ports close at once, their connections end or are reset within `graceMs`. */
  endForwards(graceMs: number): Promise<void>;
  /** Ends what still runs and lets go of everything. */
  release(): Promise<void>;
}

export class BootedMachine implements Machine {
  readonly kind: MachineKind;
  readonly description: readonly string[];
  readonly #hardware: Hardware;
  readonly #startedAt = performance.now();
  #run: ProgramRun | undefined;
  #stopped: Promise<void> | undefined;

  constructor(hardware: Hardware) {
    this.kind = hardware.kind;
    this.description = hardware.description;
    this.#hardware = hardware;
  }

  async start(program: Program): Promise<RunningProgram> {
    if (this.#stopped !== undefined) throw new Error("this machine has stopped: boot another one");
    if (this.#run !== undefined) throw new Error("this machine has had its program: boot another one");
    const args = cloneArgs("a program's", program.args);
    const run = new ProgramRun();
    this.#run = run;
    try {
      await this.#hardware.start({ ...program, args }, run);
    } catch (error) {
      run.end({ kind: "failed", error: error instanceof Error ? error : new Error(String(error)) });
      throw error;
    }
    return run;
  }

  async forward(options: ForwardOptions): Promise<Forward> {
    if (this.#stopped !== undefined) throw new Error("this machine has stopped: it forwards no port");
    return this.#hardware.forward(options);
  }

  async runHost(program: HostProgram): Promise<unknown> {
    if (this.#stopped !== undefined) throw new Error("this machine has stopped: nothing runs beside its device");
    const args = cloneArgs("a host program's", program.args);
    return this.#hardware.runHost({ ...program, args });
  }

  get hostSocket(): string | undefined {
    return this.#hardware.hostSocket;
  }

  async stats(): Promise<MachineStats> {
    const parts = await this.#hardware.stats();
    return { kind: this.kind, uptimeMs: performance.now() - this.#startedAt, parts };
  }

  stop({ graceMs = 0 }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    const hardware = this.#hardware;
    const run = this.#run;
    hardware.requestStop();
    // Connections may go on for as long as the program may.
    const forwardsEnded = hardware.endForwards(graceMs);
    if (run !== undefined && graceMs > 0) await within(run.ended, graceMs);
    await forwardsEnded;
    await hardware.release();
    // Unless its end has been told: nobody waits for ever.
    run?.end({ kind: "failed", error: new Error(`the program did not end when it was asked to, and was ended`) });
  }
}

/** Programs get copies everywhere: one that runs inline must not come to rely on anything else. */
function cloneArgs(whose: string, args: unknown): unknown {
  try {
    return structuredClone(args);
  } catch (error) {
    throw new TypeError(`${whose} args are copied, and these cannot be: ${String(error)}`, { cause: error });
  }
}
