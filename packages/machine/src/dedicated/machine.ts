/**
 * The dedicated machine: each core and each device in a worker thread, guest memory shared between them. This side only
 * supervises: it starts the workers, passes requests on, and sees to it that nobody waits for one that has died.
 */
import { busBytes, busShape, CoreBoard, clearBus } from "@toril/kernel";
import { GuestMemory, guestAddress } from "@toril/memory";
import type { Forward, ForwardOptions, Machine, Program, ProgramExit, RunningProgram } from "../machine.ts";
import { describeMachine, type MachineSettings } from "../settings.ts";
import type { MachineStats } from "../stats.ts";
import {
  type CorePlan,
  DEVICE_THREADS,
  type DevicePlan,
  DeviceThread,
  type ForwardReply,
  landError,
  type Notice,
  type SharedParts,
  type StatParts,
} from "./plan.ts";
import { RegisterPage } from "./register-page.ts";
import { WorkerHandle, type WorkerHandleOptions } from "./worker-handle.ts";

/** What a worker may take to let go of everything: closing sockets and a directory takes milliseconds. */
const SHUT_DOWN_MS = 3_000;

export class DedicatedMachine implements Machine {
  readonly kind = "dedicated";
  readonly description: readonly string[];
  readonly #settings: MachineSettings;
  readonly #memory: GuestMemory;
  readonly #shared: SharedParts;
  readonly #coreBoard: CoreBoard;
  readonly #deviceBoard = CoreBoard.create(DEVICE_THREADS);
  readonly #pages = [new RegisterPage(), new RegisterPage()] as const;
  readonly #devices: WorkerHandle[] = [];
  readonly #cores: WorkerHandle[] = [];
  readonly #startedAt = performance.now();
  #vsock: WorkerHandle | undefined;
  #onNotice: (notice: Notice) => void = () => {};
  #programDied: (error: Error) => void = () => {};
  #stopped: Promise<void> | undefined;

  private constructor(settings: MachineSettings, memory: GuestMemory, wasm: object) {
    this.description = describeMachine(settings);
    this.#settings = settings;
    this.#memory = memory;
    this.#coreBoard = CoreBoard.create(settings.cores);
    this.#shared = { wasm, cores: this.#coreBoard.buffer, devices: this.#deviceBoard.buffer };
  }

  /** @throws Error with a code when the directory cannot be served */
  static async create(settings: MachineSettings): Promise<DedicatedMachine> {
    const memory = GuestMemory.allocate({ size: settings.memory, sharing: "shared" });
    const { wasm } = memory;
    if (wasm === undefined) throw new Error("this engine has no WebAssembly: use the inline machine");
    const machine = new DedicatedMachine(settings, memory, wasm);
    try {
      await machine.#startDevices();
      return machine;
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  async start(program: Program): Promise<RunningProgram> {
    if (this.#cores.length > 0) throw new Error("this machine runs a program already: boot another machine");
    if ("main" in program) {
      throw new TypeError("the dedicated machine runs a module in a thread of its own: give it the module's URL");
    }
    let onReady: () => void = () => {};
    let onEnd: (exit: ProgramExit) => void = () => {};
    const ended = new Promise<ProgramExit>((resolve) => {
      onEnd = resolve;
    });
    const isReady = new Promise<"ready">((resolve) => {
      onReady = () => resolve("ready");
    });
    this.#programDied = (error) => onEnd({ kind: "failed", error });
    this.#onNotice = (notice) => {
      if (notice.kind === "program-ready") onReady();
      if (notice.kind !== "program-ended") return;
      const { exit } = notice;
      onEnd("code" in exit ? { kind: "returned", code: exit.code } : { kind: "failed", error: landError(exit.error) });
    };
    await this.#startCores(program.module, program.export ?? "main", program.args);
    return { ended, ready: Promise.race([isReady, ended.then((): "ended" => "ended")]) };
  }

  async forward(options: ForwardOptions): Promise<Forward> {
    const vsock = this.#vsock;
    if (vsock === undefined) throw new Error("the vsock device has ended");
    const { forward, host, port } = (await vsock.request({ kind: "forward", options })) as ForwardReply;
    const close = async (): Promise<void> => {
      await vsock.request({ kind: "close-forward", forward });
    };
    return { host, port, guestPort: options.guestPort, close };
  }

  async stats(): Promise<MachineStats> {
    const asked = [...this.#cores, ...this.#devices].map((worker) => worker.request({ kind: "stats" }));
    const parts: Record<string, StatParts[string]> = {};
    for (const answer of await Promise.allSettled(asked)) {
      if (answer.status === "fulfilled") Object.assign(parts, answer.value as StatParts);
    }
    return { kind: this.kind, uptimeMs: performance.now() - this.#startedAt, parts };
  }

  stop({ graceMs = 0 }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    const [first] = this.#cores;
    // Ports close at once; connections may go on for as long as the program may.
    const forwardsEnded = this.#vsock?.request({ kind: "end-forwards", graceMs }).catch(() => {});
    if (first !== undefined && graceMs > 0) {
      const ended = new Promise<void>((resolve) => {
        const earlier = this.#onNotice;
        this.#onNotice = (notice) => {
          earlier(notice);
          if (notice.kind === "program-ended") resolve();
        };
      });
      await first.request({ kind: "request-stop" }).catch(() => {});
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
    }
    await forwardsEnded;
    // Cores first: their drivers reset the devices, which must still be there to answer.
    await Promise.all(this.#cores.map((worker) => worker.shutDown(SHUT_DOWN_MS)));
    await Promise.all(this.#devices.map((worker) => worker.shutDown(SHUT_DOWN_MS)));
  }

  async #startDevices(): Promise<void> {
    const { cid, directory } = this.#settings;
    this.#vsock = this.#startDevice("vsock device", DeviceThread.VSOCK, { type: "vsock", cid });
    if (directory !== undefined) {
      const { path, access } = directory;
      this.#startDevice("file device", DeviceThread.FILES, { type: "files", path, access });
    }
    await Promise.all(this.#devices.map((worker) => worker.up));
  }

  #startDevice(name: string, thread: DeviceThread, device: DevicePlan["device"]): WorkerHandle {
    const worker = this.#spawn({
      name,
      script: "device-worker",
      bell: this.#deviceBoard.bell(thread),
      plan: (mailbox) => ({
        kind: "device",
        thread,
        shared: this.#shared,
        mailbox,
        page: this.#pages[thread].buffer,
        device,
      }),
      onDeath: () => {
        this.#deviceBoard.setState(thread, "dead");
        // The cores sleep on a board of their own: wake them, so that their drivers see it.
        for (let core = 0; core < this.#coreBoard.cores; core++) this.#coreBoard.bell(core).ring();
      },
    });
    this.#devices.push(worker);
    return worker;
  }

  async #startCores(module: URL, exported: string, args: unknown): Promise<void> {
    const { cores, memoryPerCore, directory, txPath } = this.#settings;
    const bus = cores === 1 ? undefined : { shape: busShape(cores), base: guestAddress(0) };
    // The bus lies at the start of memory, before the first core's heap.
    const reserved = bus === undefined ? 0 : Math.ceil(busBytes(bus.shape) / 65_536) * 65_536;
    if (bus !== undefined) clearBus(this.#memory, bus);
    const [vsockPage, filesPage] = this.#pages;
    for (let core = 0; core < cores; core++) {
      const base = core === 0 ? reserved : core * memoryPerCore;
      const main: CorePlan["main"] = {
        vsock: { thread: DeviceThread.VSOCK, page: vsockPage.buffer, txPath },
        files:
          directory === undefined ? undefined : { ...directory, thread: DeviceThread.FILES, page: filesPage.buffer },
        program: { module: module.href, export: exported, args },
      };
      const worker = this.#spawn({
        name: `core ${core}`,
        script: "core-worker",
        bell: this.#coreBoard.bell(core),
        plan: (mailbox) => ({
          kind: "core",
          core,
          shared: this.#shared,
          mailbox,
          heap: { base, size: (core + 1) * memoryPerCore - base },
          bus,
          main: core === 0 ? main : undefined,
        }),
        onNotice: (notice) => this.#onNotice(notice),
        onDeath: (error) => this.#coreDied(core, error),
      });
      this.#cores.push(worker);
    }
    await Promise.all(this.#cores.map((worker) => worker.up));
  }

  #spawn(options: Omit<WorkerHandleOptions, "log" | "execArgv">): WorkerHandle {
    const { log, execArgv } = this.#settings;
    return new WorkerHandle({
      ...options,
      log,
      execArgv,
      onDeath: (error) => {
        log.error(`${options.name} died`, { reason: error.message });
        options.onDeath(error);
      },
    });
  }

  #coreDied(core: number, error: Error): void {
    this.#coreBoard.setState(core, "dead");
    if (core !== 0) return;
    // Its devices stop touching its memory, and whoever is connected to it hears of it.
    for (const device of this.#devices) device.request({ kind: "driver-died" }).catch(() => {});
    this.#programDied(error);
  }
}
