/**
 * A machine in a simulated world: the guest of every machine, with the real drivers, rings and devices, over a file system
 * in memory, and connections that come from the test. `inline`: guest and devices share one loop, as in the inline
 * machine. `dedicated`: each has a loop of its own, which sleeps until its bell rings, as in the dedicated machine.
 */
import { Core, LocalBell, type PlainSystem } from "@toril/kernel";
import { type DmaAllocator, GuestMemory, guestAddress } from "@toril/memory";
import { type Device, DeviceHost } from "@toril/virtio";
import { type Log, silentLog } from "@toril/virtio/platform";
import type { CacheMode } from "@toril/virtio-fs";
import { type FileSystem, VirtioFsDevice } from "@toril/virtio-fs/device";
import { guestCid, type TxPath } from "@toril/vsock";
import { VsockDevice, type VsockDeviceOptions } from "@toril/vsock/device";
import { Guest } from "../guest.ts";
import type { RunningProgram } from "../machine.ts";
import { startProgram } from "../program.ts";
import { ProgramRun } from "../program-run.ts";
import { FILE_SYSTEM_TAG } from "../settings.ts";
import type { Main } from "../sys.ts";
import type { VsockTuning } from "../tuning.ts";
import { type DeviceHooks, SimulatedDevice } from "./simulated-device.ts";
import { SimulatedTransport, type TransportBehaviour } from "./simulated-transport.ts";
import type { Simulation } from "./simulation.ts";

export interface SimulatedMachineOptions {
  readonly simulation: Simulation;
  readonly topology: "inline" | "dedicated";
  /** What the guest sees as its root; absent: no files. */
  readonly fileSystem?: FileSystem;
  /** Bytes of guest memory; 16 MiB unless told. */
  readonly memory?: number;
  readonly cache?: CacheMode;
  readonly cacheBytes?: number;
  readonly txPath?: TxPath;
  readonly vsockDriver?: VsockTuning;
  readonly vsockDevice?: Partial<Omit<VsockDeviceOptions, "guestCid" | "clock" | "log">>;
  readonly transport?: TransportBehaviour;
  readonly allocatorOver?: (heap: DmaAllocator) => DmaAllocator;
  readonly vsockHooks?: DeviceHooks;
  readonly fileHooks?: DeviceHooks;
  readonly log?: Log;
}

const CID = 3;
/** 2026-01-01 */
const EPOCH = 1_767_225_600_000;

export class SimulatedMachine {
  readonly simulation: Simulation;
  readonly guest: Guest;
  /** Connects to the guest's ports, and listens to its connections. */
  readonly vsock: VsockDevice;
  readonly vsockFaults: SimulatedDevice;
  /** Absent without files. */
  readonly fileFaults: SimulatedDevice | undefined;
  readonly #options: SimulatedMachineOptions;
  readonly #memory: GuestMemory;
  readonly #deviceCores = new Map<string, Core>();
  readonly #removals: (() => void)[] = [];
  readonly #transports: { close(): void }[] = [];

  private constructor(options: SimulatedMachineOptions) {
    const { simulation, memory: size = 16 * 2 ** 20, fileSystem, log = silentLog, allocatorOver } = options;
    this.simulation = simulation;
    this.#options = options;
    this.#memory = GuestMemory.allocate({ size });
    this.guest = new Guest({
      core: 0,
      memory: this.#memory,
      heap: { base: guestAddress(0), size },
      now: simulation.time.now,
      wallClock: () => EPOCH + Math.floor(simulation.now()),
      bell: new LocalBell(),
      seed: simulation.random("order of threads").next(2 ** 31),
      log,
      ...(allocatorOver === undefined ? {} : { allocatorOver }),
    });
    this.#removals.push(simulation.addLoop("guest", this.guest.core));
    const vsockCore = this.#coreFor("vsock device");
    this.vsock = new VsockDevice({ ...options.vsockDevice, guestCid: guestCid(CID), clock: vsockCore.clock, log });
    this.vsockFaults = new SimulatedDevice(this.vsock, options.vsockHooks);
    if (fileSystem === undefined) return;
    const files = new VirtioFsDevice({ fileSystem, tag: FILE_SYSTEM_TAG, log });
    this.fileFaults = new SimulatedDevice(files, options.fileHooks);
  }

  /** Needs the world to run. @throws VirtioError and SystemError when a device cannot be brought up */
  static async boot(options: SimulatedMachineOptions): Promise<SimulatedMachine> {
    const machine = new SimulatedMachine(options);
    const { txPath = "zero-copy", vsockDriver, cache = "auto", cacheBytes = 2 ** 20 } = options;
    const vsock = {
      transport: machine.#attach(machine.vsockFaults, "vsock device"),
      txPath,
      ...(vsockDriver === undefined ? {} : { tuning: vsockDriver }),
    };
    try {
      if (machine.fileFaults === undefined) await machine.guest.bringUp({ vsock });
      else {
        const transport = machine.#attach(machine.fileFaults, "file device");
        await machine.guest.bringUp({ vsock, files: { transport, cache, cacheBytes } });
      }
      return machine;
    } catch (error) {
      await machine.stop();
      throw error;
    }
  }

  async start(main: Main, args?: unknown): Promise<RunningProgram> {
    const run = new ProgramRun();
    await startProgram(this.guest, { main, args }, run);
    return run;
  }

  /** `sys.stopping` fires. */
  requestStop(): void {
    this.guest.requestStop();
  }

  /** Ends what still runs, closes the drivers, takes the loops out of the world. */
  async stop(): Promise<void> {
    try {
      await this.guest.shutDown();
    } finally {
      for (const transport of this.#transports) transport.close();
    }
  }

  /** After `stop`: the loops take no more turns. */
  remove(): void {
    for (const remove of this.#removals) remove();
  }

  /** What is there of each kind, by name: of a machine that has stopped, all must be 0. */
  holdings(): Readonly<Record<string, number>> {
    const { core, booted } = this.guest;
    const heap = booted.heap.stats();
    const timers = [core, ...this.#deviceCores.values()].filter(
      ({ untilDeadline }) => untilDeadline !== Number.POSITIVE_INFINITY,
    );
    return {
      "heap blocks": heap.blocksInUse,
      "heap bytes": heap.bytesInUse,
      "heap faults": heap.remoteFaults,
      threads: core.threads.length,
      "cores with timers": timers.length,
      "connections of the device": this.vsock.stats.connectionsOpen,
      "heads held by the device": this.vsock.stats.headsHeld,
    };
  }

  /** The loop that serves a device. */
  #coreFor(name: string): Core | Guest["core"] {
    const { simulation, topology, log = silentLog } = this.#options;
    if (topology === "inline") return this.guest.core;
    let core = this.#deviceCores.get(name);
    if (core === undefined) {
      const id = this.#deviceCores.size + 1;
      core = new Core({ id, now: simulation.time.now, log, system: (threads): PlainSystem => ({ threads }) });
      this.#deviceCores.set(name, core);
      this.#removals.push(simulation.addLoop(name, core));
    }
    return core;
  }

  #attach(device: Device, name: string): SimulatedTransport {
    const { simulation, transport: behaviour = {}, log = silentLog } = this.#options;
    const core = this.#coreFor(name);
    const host = new DeviceHost({ device, memory: this.#memory, doorbell: core.bell, log });
    core.dedicate(host, name);
    const transport = new SimulatedTransport(simulation, name, host, behaviour);
    this.#transports.push(transport);
    return transport;
  }
}
