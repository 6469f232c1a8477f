/** The machine of one step: our kernel under the step's conditions, with the ping-pong program and the page server on it. */
import { createMachine, type Forward, type Machine, type MachineStats } from "@toril/machine";
import type { HostJob } from "../host-end.ts";
import type { Job, PingReport } from "../job.ts";
import type { Modules } from "../options.ts";
import { pinThreads } from "../subjects.ts";
import { fetchPages } from "./client.ts";
import type { PageSums } from "./outcome.ts";
import type { Step } from "./steps.ts";

const PORT = 7_000;
const PAGE_PORT = 80;

export class StepMachine {
  readonly step: Step;
  readonly #machine: Machine;
  readonly #modules: Modules;
  readonly #bridge: Forward;

  /** @param cpus processors for the core and the vsock device; wherever the system likes, unless given */
  static async boot(step: Step, modules: Modules, cpus: readonly [number, number] | undefined): Promise<StepMachine> {
    const machine = await createMachine({ kind: "dedicated", tuning: step.tuning });
    try {
      const args = { port: PORT, pagePort: PAGE_PORT };
      const program = await machine.start({ module: modules.ends, export: "experiment", args });
      if ((await program.ready) === "ended") throw new Error("the guest's program has ended");
      if (cpus !== undefined) await pinThreads(machine, modules, cpus);
      return new StepMachine(step, modules, machine, await machine.forward({ port: 0, guestPort: PAGE_PORT }));
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  private constructor(step: Step, modules: Modules, machine: Machine, bridge: Forward) {
    this.step = step;
    this.#modules = modules;
    this.#machine = machine;
    this.#bridge = bridge;
  }

  async run(job: Job): Promise<PingReport> {
    const args: HostJob = { job, port: PORT };
    return (await this.#machine.runHost({ module: this.#modules.ends, export: "measure", args })) as PingReport;
  }

  /** @returns milliseconds in all, and what the guest counted meanwhile */
  async pages(tx: Job["tx"], count: number): Promise<{ readonly ms: number; readonly sums: PageSums }> {
    const before = pageSums(await this.#machine.stats());
    const ms = await fetchPages(this.#bridge.port, tx, count);
    const after = pageSums(await this.#machine.stats());
    return { ms, sums: difference(before, after) };
  }

  stop(): Promise<void> {
    return this.#machine.stop();
  }
}

function pageSums({ parts }: MachineStats): PageSums {
  const of = (...path: readonly string[]): number => {
    let found: unknown = parts;
    for (const name of path) found = typeof found === "object" && found !== null ? Reflect.get(found, name) : undefined;
    return typeof found === "number" ? found : 0;
  };
  const driver = "vsock driver";
  const copied = ["userToPacket", "packetToRing", "header", "headerToRing"];
  return {
    creditWaits: of(driver, "waits", "credit", "count"),
    creditWaitMs: of(driver, "waits", "credit", "ms"),
    wakeUps: of("loop of core 0", "waits"),
    asleepMs: of("loop of core 0", "sleptMs"),
    copiedBytes: copied.reduce((sum, stage) => sum + of(driver, "txCopied", stage), 0),
  };
}

function difference(before: PageSums, after: PageSums): PageSums {
  return {
    creditWaits: after.creditWaits - before.creditWaits,
    creditWaitMs: after.creditWaitMs - before.creditWaitMs,
    wakeUps: after.wakeUps - before.wakeUps,
    asleepMs: after.asleepMs - before.asleepMs,
    copiedBytes: after.copiedBytes - before.copiedBytes,
  };
}
