/** What is measured: machines on each transmit path, and peers. */
import { join, parse } from "node:path";
import { createMachine, type Machine, type MachineKind } from "@toril/machine";
import type { TxPath } from "@toril/vsock";
import type { Conditions } from "./conditions.ts";
import type { HostJob } from "./host-end.ts";
import type { Job, PingReport } from "./job.ts";
import type { Modules, PingPongOptions } from "./options.ts";
import { pin } from "./peers/pinning.ts";
import { SocketClient } from "./peers/socket-peers.ts";

/** The guest program's vsock port. */
const PORT = 7_000;

/** A booted machine with the guest program on it. */
export class MeasuredMachine {
  readonly kind: MachineKind;
  readonly #machine: Machine;
  readonly #modules: Modules;
  readonly #client: SocketClient | undefined;

  /** @throws Error with the reason why there is no such machine here */
  static async boot(
    kind: MachineKind,
    modules: Modules,
    conditions: Conditions,
    capture: string | undefined,
  ): Promise<MeasuredMachine> {
    const machine = await createMachine({
      kind,
      ...conditions.machine,
      ...(capture === undefined ? {} : { record: { vsock: capture } }),
      ...(kind === "vhost-user" ? { vhostUser: { spawn: true } } : {}),
    });
    try {
      if (kind === "vhost-user" && machine.hostSocket === undefined) throw new Error("there is no vhost-device-vsock");
      const program = await machine.start({ module: modules.ends, args: { port: PORT } });
      if ((await program.ready) === "ended") throw new Error("the guest's program has ended");
      if (kind === "dedicated" && conditions.cpus !== undefined) await pinThreads(machine, modules, conditions.cpus);
      const client =
        machine.hostSocket === undefined ? undefined : await SocketClient.start(modules.process, conditions.cpus?.[1]);
      return new MeasuredMachine(kind, machine, modules, client);
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  private constructor(kind: MachineKind, machine: Machine, modules: Modules, client: SocketClient | undefined) {
    this.kind = kind;
    this.#machine = machine;
    this.#modules = modules;
    this.#client = client;
  }

  /** Whether guest and device are in loops of their own, whose counters are told apart. */
  get loops(): "one" | "two" {
    return this.kind === "dedicated" ? "two" : "one";
  }

  async run(job: Job): Promise<PingReport> {
    const path = this.#machine.hostSocket;
    if (this.#client !== undefined && path !== undefined) {
      return this.#client.run({ kind: "vsock", path, guestPort: PORT }, job);
    }
    const args: HostJob = { job, port: PORT };
    const report = await this.#machine.runHost({ module: this.#modules.ends, export: "measure", args });
    return report as PingReport;
  }

  async stop(): Promise<void> {
    await this.#client?.stop();
    await this.#machine.stop();
  }
}

/** Where a machine's packets go: `all.pcap`, or `all.inline.pcap` when it is not the only one. */
export function captureFile(
  { capture, machines }: Pick<PingPongOptions, "capture" | "machines">,
  kind: MachineKind,
): string | undefined {
  if (capture === undefined || machines.length === 1) return capture;
  const { dir, name, ext } = parse(capture);
  return join(dir, `${name}.${kind}${ext}`);
}

/** The core's thread on the first processor, the device's on the second. */
export async function pinThreads(
  machine: Machine,
  { ends }: Pick<Modules, "ends">,
  cpus: readonly [number, number],
): Promise<void> {
  const { parts } = await machine.stats();
  const core = parts["thread"]?.["id"];
  const device = await machine.runHost({ module: ends, export: "deviceThread" });
  if (typeof core !== "number" || typeof device !== "number") throw new Error("its threads cannot be told apart here");
  await pin("thread", core, cpus[0]);
  await pin("thread", device, cpus[1]);
}

/** How the guest receives, unless the conditions say: a path that copies nothing out should not need a copy in. */
export function receiveOf(tx: TxPath, conditions: Conditions): Job["receive"] {
  return conditions.receive ?? (tx === "zero-copy" ? "borrow" : "copy");
}
