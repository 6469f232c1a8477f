/**
 * The dedicated machine: each core and each device in a worker thread, guest memory shared between them. This side only
 * supervises: it starts the workers, passes requests on, and sees to it that nobody waits for one that has died.
 */
import { CoreBoard, clearBus } from "@toril/kernel";
import { GuestMemory, guestAddress } from "@toril/memory";
import type { Hardware } from "../booted-machine.ts";
import type { HostProgram } from "../host-program.ts";
import type { Forward, ForwardOptions, Program } from "../machine.ts";
import type { ProgramRun } from "../program-run.ts";
import { describeMachine, type MachineSettings } from "../settings.ts";
import type { MachineStats, StatGroup } from "../stats.ts";
import { within } from "../within.ts";
import { type CorePlan, type DevicePlan, DeviceThread, landError, type Notice, type SharedParts } from "./plan.ts";
import { RegisterPage } from "./register-page.ts";
import { WorkerHandle, type WorkerHandleOptions } from "./worker-handle.ts";

/** What a worker may take to let go of everything: closing sockets and a directory takes milliseconds. */
const SHUT_DOWN_MS = 2_000;
/** What a worker may take to tell its counters. */
const STATS_MS = 1_000;
/** Beyond a grace: for resetting what is left, and the answer. */
const END_FORWARDS_MS = 1_000;

export class DedicatedHardware implements Hardware {
  readonly kind = "dedicated";
  readonly hostSocket = undefined;
  readonly description: readonly string[];
  readonly #settings: MachineSettings;
  readonly #memory: GuestMemory;
  readonly #shared: SharedParts;
  readonly #coreBoard: CoreBoard;
  readonly #deviceBoard = CoreBoard.create(Object.keys(DeviceThread).length);
  readonly #pages = [new RegisterPage(), new RegisterPage()] as const;
  readonly #devices: WorkerHandle[] = [];
  readonly #cores: WorkerHandle[] = [];

  private constructor(settings: MachineSettings) {
    const memory = GuestMemory.allocate({ size: settings.memory, sharing: "shared" });
    const { wasm } = memory;
    if (wasm === undefined) throw new Error("this engine has no WebAssembly: use the inline machine");
    this.description = describeMachine(settings);
    this.#settings = settings;
    this.#memory = memory;
    this.#coreBoard = CoreBoard.create(settings.cores.length);
    this.#shared = { wasm, cores: this.#coreBoard.buffer, devices: this.#deviceBoard.buffer };
  }

  /** @throws Error with the code of a HostDirectoryError when the directory cannot be served */
  static async boot(settings: MachineSettings): Promise<DedicatedHardware> {
    const hardware = new DedicatedHardware(settings);
    const { cid, directory } = settings;
    try {
      hardware.#startDevice("vsock device", DeviceThread.VSOCK, { type: "vsock", cid });
      if (directory !== undefined) {
        const { path, access } = directory;
        hardware.#startDevice("file device", DeviceThread.FILES, { type: "files", path, access });
      }
      await Promise.all(hardware.#devices.map((worker) => worker.up));
      return hardware;
    } catch (error) {
      await hardware.release();
      throw error;
    }
  }

  /** The threads that run, by name: for tests that kill them. */
  get workers(): readonly WorkerHandle[] {
    return [...this.#cores, ...this.#devices];
  }

  async start(program: Program, run: ProgramRun): Promise<void> {
    if ("main" in program) {
      throw new TypeError("the dedicated machine runs a module in a thread of its own: give it the module's URL");
    }
    const { cores, bus: shape } = this.#settings;
    const bus = shape === undefined ? undefined : { shape, base: guestAddress(0) };
    if (bus !== undefined) clearBus(this.#memory, bus);
    cores.forEach((heap, core) => {
      const common = { kind: "core", core, shared: this.#shared, heap, bus } as const;
      const { preload, tuning } = this.#settings;
      const main = core === 0 ? this.#mainPlan(program) : undefined;
      this.#cores.push(
        this.#spawn({
          name: `core ${core}`,
          script: "core-worker",
          bell: this.#coreBoard.bell(core),
          plan: (mailbox): CorePlan => ({ ...common, mailbox, tuning, preload, main }),
          onNotice: (notice) => tellRun(run, notice),
          onDeath: (error) => this.#coreDied(core, error, run),
        }),
      );
    });
    await Promise.all(this.#cores.map((worker) => worker.up));
  }

  async forward(options: ForwardOptions): Promise<Forward> {
    const vsock = this.#devices[DeviceThread.VSOCK];
    if (vsock === undefined) throw new Error("this machine has no vsock device");
    const { forward, host, port } = await vsock.request({ kind: "forward", options });
    // A device that has ended has closed its ports.
    const close = async (): Promise<void> => {
      await vsock.request({ kind: "close-forward", forward }).catch(() => {});
    };
    return { host, port, guestPort: options.guestPort, close };
  }

  async runHost({ module, export: exported = "main", args }: HostProgram): Promise<unknown> {
    const vsock = this.#devices[DeviceThread.VSOCK];
    if (vsock === undefined) throw new Error("this machine has no vsock device");
    return vsock.request({ kind: "run-host", module: module.href, export: exported, args });
  }

  async stats(): Promise<MachineStats["parts"]> {
    const parts: Record<string, StatGroup> = {};
    const ask = async (worker: WorkerHandle): Promise<void> => {
      const asked = worker.request({ kind: "stats" }).then((answer) => void Object.assign(parts, answer));
      if ((await within(asked, STATS_MS)) === "done") return;
      parts[worker.name] = { missing: worker.ended ? "its thread has ended" : `no answer within ${STATS_MS} ms` };
    };
    await Promise.all(this.workers.map(ask));
    return parts;
  }

  requestStop(): void {
    for (const core of this.#cores) core.request({ kind: "request-stop" }).catch(() => {});
  }

  async endForwards(graceMs: number): Promise<void> {
    const vsock = this.#devices[DeviceThread.VSOCK];
    if (vsock !== undefined) await within(vsock.request({ kind: "end-forwards", graceMs }), graceMs + END_FORWARDS_MS);
  }

  async release(): Promise<void> {
    // Cores first: their drivers reset the devices, which must still be there to answer.
    await Promise.all(this.#cores.map((worker) => worker.shutDown(SHUT_DOWN_MS)));
    await Promise.all(this.#devices.map((worker) => worker.shutDown(SHUT_DOWN_MS)));
  }

  #mainPlan(program: { readonly module: URL; readonly export?: string; readonly args?: unknown }): CorePlan["main"] {
    const { directory, txPath, record } = this.#settings;
    const [vsockPage, filesPage] = this.#pages;
    const { module, export: exported = "main", args } = program;
    const files = directory && { ...directory, thread: DeviceThread.FILES, page: filesPage.buffer };
    return {
      vsock: { thread: DeviceThread.VSOCK, page: vsockPage.buffer, txPath },
      record,
      files,
      program: { module: module.href, export: exported, args },
    };
  }

  #startDevice(name: string, thread: DeviceThread, device: DevicePlan["device"]): void {
    const page = this.#pages[thread].buffer;
    this.#devices.push(
      this.#spawn({
        name,
        script: "device-worker",
        bell: this.#deviceBoard.bell(thread),
        plan: (mailbox): DevicePlan => ({
          ...{ kind: "device", thread, mailbox, page, device, shared: this.#shared, tuning: this.#settings.tuning },
        }),
        onDeath: () => {
          this.#deviceBoard.setState(thread, "dead");
          // The cores sleep on a board of their own: wake them, so that their drivers see it.
          for (let core = 0; core < this.#coreBoard.cores; core++) this.#coreBoard.bell(core).ring();
        },
      }),
    );
  }

  #spawn(options: Omit<WorkerHandleOptions, "log" | "scriptHeap">): WorkerHandle {
    const { log, scriptHeap } = this.#settings;
    return new WorkerHandle({
      ...options,
      log,
      scriptHeap,
      onDeath: (error) => {
        log.error(`${options.name} died`, { reason: error.message });
        options.onDeath(error);
      },
    });
  }

  #coreDied(core: number, error: Error, run: ProgramRun): void {
    this.#coreBoard.setState(core, "dead");
    if (core !== 0) return;
    // Its devices stop touching its memory, and whoever is connected to it hears of it.
    for (const device of this.#devices) device.request({ kind: "driver-died" }).catch(() => {});
    run.end({ kind: "failed", error });
  }
}

function tellRun(run: ProgramRun, notice: Notice): void {
  if (notice.kind === "program-ready") run.announceReady();
  if (notice.kind !== "program-ended") return;
  const { exit } = notice;
  run.end("code" in exit ? { kind: "returned", code: exit.code } : { kind: "failed", error: landError(exit.error) });
}
