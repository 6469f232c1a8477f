/**
 * The inline machine: guest, devices and host share one thread and one event loop. There is nobody to wake, so a request
 * costs no wake-up at all: on few cores that is the fastest machine.
 */
import { HostDirectory, type TcpForward } from "@toril/host";
import { LocalBell, type RunningLoop, runHosted } from "@toril/kernel";
import { GuestMemory, guestAddress } from "@toril/memory";
import { type Device, DeviceHost, InProcessTransport } from "@toril/virtio";
import { VirtioFsDevice } from "@toril/virtio-fs/device";
import { VsockDevice } from "@toril/vsock/device";
import { openForward } from "./forward.ts";
import { Guest } from "./guest.ts";
import type { Forward, ForwardOptions, Machine, Program, RunningProgram } from "./machine.ts";
import { nodeLoop } from "./node-loop.ts";
import { startProgram } from "./program.ts";
import { describeMachine, FILE_SYSTEM_TAG, type MachineSettings } from "./settings.ts";
import { type MachineStats, statGroup } from "./stats.ts";

const now = (): number => performance.now();

interface Parts {
  readonly settings: MachineSettings;
  readonly guest: Guest;
  readonly loop: RunningLoop;
  readonly vsock: VsockDevice;
  readonly fs: { readonly device: VirtioFsDevice; readonly directory: HostDirectory } | undefined;
  readonly hosts: readonly DeviceHost[];
}

export class InlineMachine implements Machine {
  readonly kind = "inline";
  readonly description: readonly string[];
  readonly #parts: Parts;
  readonly #forwards = new Set<TcpForward>();
  readonly #startedAt = now();
  #program: RunningProgram | undefined;
  #stopped: Promise<void> | undefined;

  private constructor(parts: Parts) {
    this.description = describeMachine(parts.settings);
    this.#parts = parts;
  }

  /** @throws Error with a code when the directory cannot be served */
  static async create(settings: MachineSettings): Promise<InlineMachine> {
    const { log, cid, directory: served, txPath } = settings;
    const directory =
      served === undefined ? undefined : new HostDirectory({ path: served.path, access: served.access });
    const memory = GuestMemory.allocate({ size: settings.memory });
    const bell = new LocalBell();
    const heap = { base: guestAddress(0), size: settings.memoryPerCore };
    const guest = new Guest({ core: 0, memory, heap, now, wallClock: Date.now, bell, log });
    const { core } = guest;
    const hosts: DeviceHost[] = [];
    const attach = (device: Device, name: string): InProcessTransport => {
      const host = new DeviceHost({ device, memory, doorbell: bell, log });
      hosts.push(host);
      core.dedicate(host, name);
      return new InProcessTransport(host);
    };
    const vsock = new VsockDevice({ guestCid: cid, clock: core.clock, log });
    const vsockTransport = attach(vsock, "vsock device");
    const loop = runHosted(core, { host: nodeLoop });
    const parts = { settings, guest, loop, vsock, hosts };
    try {
      if (served === undefined || directory === undefined) {
        await guest.bringUp({ vsock: { transport: vsockTransport, txPath } });
        return new InlineMachine({ ...parts, fs: undefined });
      }
      const device = new VirtioFsDevice({ fileSystem: directory, tag: FILE_SYSTEM_TAG, log });
      const transport = attach(device, "file device");
      const { cache, cacheBytes } = served;
      await guest.bringUp({
        vsock: { transport: vsockTransport, txPath },
        files: { transport, cache, cacheBytes },
      });
      return new InlineMachine({ ...parts, fs: { device, directory } });
    } catch (error) {
      loop.stop();
      directory?.close();
      throw error;
    }
  }

  async start(program: Program): Promise<RunningProgram> {
    if (this.#program !== undefined) throw new Error("this machine runs a program already: boot another machine");
    this.#program = await startProgram(this.#parts.guest, program);
    return this.#program;
  }

  async forward(options: ForwardOptions): Promise<Forward> {
    const { forward, face } = await openForward(this.#parts.vsock, options, this.#parts.settings.log);
    this.#forwards.add(forward);
    return face;
  }

  async stats(): Promise<MachineStats> {
    const { guest, loop, vsock, fs, hosts } = this.#parts;
    const { spins, spinHits, waits } = loop.idle;
    const notifications = hosts.reduce((sum, host) => sum + host.stats.notifications, 0);
    const interrupts = hosts.reduce((sum, host) => sum + host.stats.interrupts, 0);
    return {
      kind: this.kind,
      uptimeMs: now() - this.#startedAt,
      parts: {
        ...guest.stats(),
        loop: { spins, spinHits, waits },
        transport: { notifications, interrupts },
        "vsock device": statGroup(vsock.stats),
        ...(fs === undefined ? {} : { "file device": statGroup(fs.device.stats) }),
      },
    };
  }

  stop({ graceMs = 0 }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    const { guest, loop, fs } = this.#parts;
    guest.requestStop();
    // Ports close at once; connections may go on for as long as the program may.
    const forwardsEnded = Promise.all([...this.#forwards].map((forward) => forward.close({ graceMs })));
    if (this.#program !== undefined && graceMs > 0) {
      await Promise.race([this.#program.ended, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
    }
    await forwardsEnded;
    await guest.shutDown();
    loop.stop();
    await loop.ended;
    fs?.directory.close();
  }
}
