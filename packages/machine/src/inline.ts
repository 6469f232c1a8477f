/**
 * The inline machine: guest, devices and host share one thread and one event loop. There is nobody to wake, so a request
 * costs no wake-up at all: on few cores that is the fastest machine.
 */
import { HostDirectory, monotonicNow, type TcpForward } from "@toril/host";
import { LocalBell, type RunningLoop, runHosted } from "@toril/kernel";
import { GuestMemory, guestAddress } from "@toril/memory";
import { type Device, DeviceHost, InProcessTransport } from "@toril/virtio";
import { VirtioFsDevice } from "@toril/virtio-fs/device";
import { VsockDevice } from "@toril/vsock/device";
import type { Hardware } from "./booted-machine.ts";
import { openForward } from "./forward.ts";
import { Guest } from "./guest.ts";
import { type HostProgram, hostCalls, runHostProgram } from "./host-program.ts";
import type { Forward, ForwardOptions, Program } from "./machine.ts";
import { nodeLoop } from "./node-loop.ts";
import { startProgram } from "./program.ts";
import type { ProgramRun } from "./program-run.ts";
import { describeMachine, FILE_SYSTEM_TAG, type MachineSettings } from "./settings.ts";
import { type MachineStats, statGroup } from "./stats.ts";
import { OWN_DEVICE_TUNING } from "./tuning.ts";

export class InlineHardware implements Hardware {
  readonly kind = "inline";
  readonly hostSocket = undefined;
  readonly description: readonly string[];
  readonly #settings: MachineSettings;
  readonly #memory: GuestMemory;
  readonly #guest: Guest;
  readonly #vsock: VsockDevice;
  readonly #hosts: DeviceHost[] = [];
  readonly #forwards = new Set<TcpForward>();
  readonly #loop: RunningLoop;
  #files: { readonly device: VirtioFsDevice; readonly directory: HostDirectory } | undefined;

  private constructor(settings: MachineSettings) {
    const { memory: size, cores, cid, log, tuning } = settings;
    this.description = describeMachine(settings);
    this.#settings = settings;
    this.#memory = GuestMemory.allocate({ size });
    this.#guest = new Guest({
      core: 0,
      memory: this.#memory,
      heap: { base: guestAddress(0), size: cores[0]?.size ?? size },
      now: monotonicNow(),
      wallClock: Date.now,
      bell: new LocalBell(),
      log,
    });
    const { core } = this.#guest;
    this.#vsock = new VsockDevice({ ...tuning.device, guestCid: cid, clock: core.clock, log });
    this.#loop = runHosted(core, { host: nodeLoop });
    this.#guest.report("loop", () => this.#loop.idle.stats);
  }

  /** @throws HostDirectoryError when the directory cannot be served */
  static async boot(settings: MachineSettings): Promise<InlineHardware> {
    const hardware = new InlineHardware(settings);
    try {
      await hardware.#bringUp();
      return hardware;
    } catch (error) {
      await hardware.release();
      throw error;
    }
  }

  async #bringUp(): Promise<void> {
    const { directory: served, txPath, log, preload, record, tuning } = this.#settings;
    for (const module of preload) await import(module);
    const vsock = {
      transport: this.#attach(this.#vsock, "vsock device"),
      txPath,
      tuning: { ...OWN_DEVICE_TUNING, ...tuning.driver },
    };
    if (served === undefined) return this.#guest.bringUp({ vsock, record });
    const { path, access, cache, cacheBytes } = served;
    const directory = new HostDirectory({ path, access, log });
    const device = new VirtioFsDevice({ fileSystem: directory, tag: FILE_SYSTEM_TAG, log });
    this.#files = { device, directory };
    const files = { transport: this.#attach(device, "file device"), cache, cacheBytes };
    return this.#guest.bringUp({ vsock, files, record });
  }

  #attach(device: Device, name: string): InProcessTransport {
    const { core } = this.#guest;
    const host = new DeviceHost({ device, memory: this.#memory, doorbell: core.bell, log: this.#settings.log });
    this.#hosts.push(host);
    core.dedicate(host, name);
    return new InProcessTransport(host);
  }

  start(program: Program, run: ProgramRun): Promise<void> {
    return startProgram(this.#guest, program, run);
  }

  async forward(options: ForwardOptions): Promise<Forward> {
    const { forward, face } = await openForward(this.#vsock, options, this.#settings.log);
    this.#forwards.add(forward);
    const close = async (): Promise<void> => {
      await face.close();
      this.#forwards.delete(forward);
    };
    return { ...face, close };
  }

  async runHost(program: HostProgram): Promise<unknown> {
    const calls = hostCalls(this.#vsock, this.#guest.core.clock, () => this.#loop.idle.stats);
    return runHostProgram(calls, program);
  }

  async stats(): Promise<MachineStats["parts"]> {
    const notifications = this.#hosts.reduce((sum, host) => sum + host.stats.notifications, 0);
    const interrupts = this.#hosts.reduce((sum, host) => sum + host.stats.interrupts, 0);
    return {
      ...this.#guest.stats(),
      transport: { notifications, interrupts },
      "vsock device": statGroup(this.#vsock.stats),
      ...(this.#files === undefined ? {} : { "file device": statGroup(this.#files.device.stats) }),
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
      this.#files?.directory.close();
    }
  }
}
