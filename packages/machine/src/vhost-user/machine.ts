/**
 * The vhost-user machine: the guest in this thread, its devices in other processes, virtiofsd and vhost-device-vsock for
 * example; or one of them our own, beside the guest. Guest memory is a memfd that all of them map. The core shares Node's
 * event loop and sleeps in it: the devices' interrupts are eventfds there.
 */
import { monotonicNow } from "@toril/host";
import { LocalBell, type RunningLoop, runHosted } from "@toril/kernel";
import { guestAddress } from "@toril/memory";
import { MemfdMemory } from "@toril/vhost-user";
import type { Hardware } from "../booted-machine.ts";
import { Guest } from "../guest.ts";
import { type HostProgram, hostCalls, runHostProgram } from "../host-program.ts";
import type { Forward, ForwardOptions, Program } from "../machine.ts";
import { nodeLoop } from "../node-loop.ts";
import { startProgram } from "../program.ts";
import type { ProgramRun } from "../program-run.ts";
import { type MachineSettings, mebibytes } from "../settings.ts";
import type { MachineStats } from "../stats.ts";
import { spinOf } from "../tuning.ts";
import { explained } from "./errors.ts";
import { type FileDevice, openFileDevice } from "./file-devices.ts";
import { OwnDevices } from "./own-devices.ts";
import { type NetworkDevice, type OpenForward, openNetworkDevice } from "./vsock-devices.ts";

export class VhostUserHardware implements Hardware {
  readonly kind = "vhost-user";
  readonly #settings: MachineSettings;
  readonly #memory: MemfdMemory;
  readonly #guest: Guest;
  readonly #own: OwnDevices;
  readonly #loop: RunningLoop;
  readonly #forwards = new Set<OpenForward["forward"]>();
  #network: NetworkDevice | undefined;
  #files: FileDevice | undefined;

  private constructor(settings: MachineSettings) {
    const { memory: size, cores, log } = settings;
    this.#settings = settings;
    this.#memory = new MemfdMemory(size);
    const { guest: memory } = this.#memory;
    this.#guest = new Guest({
      core: 0,
      memory,
      heap: { base: guestAddress(0), size: cores[0]?.size ?? size },
      now: monotonicNow(),
      wallClock: Date.now,
      bell: new LocalBell(),
      log,
    });
    this.#own = new OwnDevices(this.#guest.core, memory, log);
    this.#loop = runHosted(this.#guest.core, { host: nodeLoop, spin: spinOf(settings.tuning) });
    this.#guest.report("loop", () => this.#loop.idle.stats);
  }

  /** @throws VhostUserMachineError; HostDirectoryError when the directory cannot be served */
  static async boot(settings: MachineSettings): Promise<VhostUserHardware> {
    try {
      const hardware = new VhostUserHardware(settings);
      try {
        await hardware.#bringUp();
        return hardware;
      } catch (error) {
        await hardware.release();
        throw error;
      }
    } catch (error) {
      throw explained(error);
    }
  }

  async #bringUp(): Promise<void> {
    const settings = this.#settings;
    for (const module of settings.preload) await import(module);
    const options = { settings, memory: this.#memory, own: this.#own };
    this.#files = await openFileDevice(options);
    this.#network = await openNetworkDevice(options);
    const { transport, replaceable } = this.#network;
    const { record, tuning, txPath } = settings;
    const lasting = { transport, txPath, tuning: tuning.driver };
    const vsock = replaceable === "replaceable" ? { ...lasting, replaceable: true as const } : lasting;
    const files = this.#files?.devices;
    await this.#guest.bringUp(files === undefined ? { vsock, record } : { vsock, files, record });
    this.#files?.watch(this.#guest);
    this.#network.watch(this.#guest);
  }

  get description(): readonly string[] {
    const { memory, txPath } = this.#settings;
    const [vsock, files] = [this.#network?.server, this.#files?.server];
    return [
      `vhost-user machine: files: ${files ?? "none"}; vsock: ${vsock ?? "none"}`,
      `core 0: ${mebibytes(memory)} of guest memory in a memfd, in this thread`,
      `vsock device: ${vsock ?? "none"}, guest CID ${this.#guest.cid ?? "none"}, ${txPath}`,
      `file device: ${files ?? "none"}${this.#cached()}`,
    ];
  }

  #cached(): string {
    const devices = this.#files?.devices;
    if (devices === undefined) return "";
    return devices.cache === "none" ? ", no cache" : `, cache ${devices.cache} (${mebibytes(devices.cacheBytes)})`;
  }

  start(program: Program, run: ProgramRun): Promise<void> {
    return startProgram(this.#guest, program, run);
  }

  async forward(options: ForwardOptions): Promise<Forward> {
    if (this.#network === undefined) throw new Error("this machine has no vsock device");
    const { forward, face } = await this.#network.forward(options);
    this.#forwards.add(forward);
    const close = async (): Promise<void> => {
      await face.close();
      this.#forwards.delete(forward);
    };
    return { ...face, close };
  }

  async runHost(program: HostProgram): Promise<unknown> {
    const device = this.#network?.device;
    if (device === undefined) throw new Error("the vsock device is another process: connect to its Unix socket");
    const calls = hostCalls(device, this.#guest.core.clock, () => this.#loop.idle.stats);
    return runHostProgram(calls, program);
  }

  get hostSocket(): string | undefined {
    return this.#network?.hostSocket;
  }

  async stats(): Promise<MachineStats["parts"]> {
    return {
      ...this.#guest.stats(),
      transport: this.#own.stats(),
      ...(this.#network === undefined ? {} : { "vsock device": this.#network.stats() }),
      ...(this.#files === undefined ? {} : { "file device": this.#files.stats() }),
    };
  }

  requestStop(): void {
    this.#guest.requestStop();
  }

  async endForwards(graceMs: number): Promise<void> {
    await Promise.all([...this.#forwards].map((forward) => forward.close({ graceMs })));
  }

  async release(): Promise<void> {
    try {
      await this.#guest.shutDown();
    } finally {
      this.#loop.stop();
      await this.#loop.ended;
      await Promise.allSettled([this.#network?.close(), this.#files?.close()]);
      this.#memory.close();
    }
  }
}
