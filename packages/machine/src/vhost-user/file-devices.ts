/** The file device of a vhost-user machine: a daemon that we keep running, somebody's back-end, or our own device. */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HostDirectory } from "@toril/host";
import {
  connectFrontEnd,
  type Daemon,
  findDaemons,
  type MemfdMemory,
  type Supervisor,
  startVirtiofsd,
  supervise,
  type VhostUserTransport,
  virtioFsConfig,
  virtiofsdVersion,
} from "@toril/vhost-user";
import { DeviceType } from "@toril/virtio";
import type { Log } from "@toril/virtio/platform";
import { VirtioFsDevice } from "@toril/virtio-fs/device";
import type { Guest, GuestDevices } from "../guest.ts";
import { FILE_SYSTEM_TAG, type MachineSettings } from "../settings.ts";
import { type StatGroup, statGroup } from "../stats.ts";
import { VhostUserMachineError } from "./errors.ts";
import type { OwnDevices } from "./own-devices.ts";

/** How often a back-end that was lost is looked for. */
const LOOK_AGAIN_MS = 250;

export interface FileDevice {
  /** Who serves the files, in a few words. */
  readonly server: string;
  readonly devices: NonNullable<GuestDevices["files"]>;
  stats(): StatGroup;
  /** From now on the device may be replaced: the guest is up. */
  watch(guest: Guest): void;
  close(): Promise<void>;
}

export interface FileDeviceOptions {
  readonly settings: MachineSettings;
  readonly memory: MemfdMemory;
  readonly own: OwnDevices;
}

/** @returns `undefined` for a machine without files */
export async function openFileDevice(options: FileDeviceOptions): Promise<FileDevice | undefined> {
  const { directory, vhostUser } = options.settings;
  const source = vhostUser?.files ?? { kind: "none" };
  switch (source.kind) {
    case "none":
      return undefined;
    case "back-end":
      return BackEndFiles.open(options, source);
    case "own":
      return directory === undefined ? undefined : ownFiles(options, directory);
    case "spawn":
      return directory === undefined ? undefined : SpawnedFiles.open(options, directory);
    default:
      return source satisfies never;
  }
}

type Served = NonNullable<MachineSettings["directory"]>;

/** @throws HostDirectoryError when it cannot be served */
function ownFiles({ settings, own }: FileDeviceOptions, served: Served): FileDevice {
  const { path, access, cache, cacheBytes } = served;
  const directory = new HostDirectory({ path, access });
  const device = new VirtioFsDevice({ fileSystem: directory, tag: FILE_SYSTEM_TAG, log: settings.log });
  return {
    server: `our own device serves ${path}`,
    devices: { transport: own.attach(device, "file device"), cache, cacheBytes },
    stats: () => statGroup(device.stats),
    watch: () => {},
    close: async () => directory.close(),
  };
}

function connectFiles(memory: MemfdMemory, socketPath: string, log: Log): Promise<VhostUserTransport> {
  const config = virtioFsConfig(FILE_SYSTEM_TAG);
  return connectFrontEnd({ socketPath, memory, deviceType: DeviceType.FileSystem, config, log });
}

/** Somebody's back-end: when it goes away it is looked for, for as long as the machine runs. */
class BackEndFiles implements FileDevice {
  readonly server: string;
  readonly devices: NonNullable<GuestDevices["files"]>;
  readonly #transport: VhostUserTransport;
  readonly #log: Log;
  readonly #closed = new AbortController();
  #reconnects = 0;

  private constructor(
    transport: VhostUserTransport,
    { socket, cache, cacheBytes }: { socket: string; cache: Served["cache"]; cacheBytes: number },
    log: Log,
  ) {
    this.server = `the back-end at ${socket}`;
    // What may be changed is for the back-end to say.
    this.devices = { transport, cache, cacheBytes, replaceable: { access: "writable" } };
    this.#transport = transport;
    this.#log = log;
  }

  static async open(
    { memory, settings }: FileDeviceOptions,
    source: { socket: string; cache: Served["cache"]; cacheBytes: number },
  ): Promise<BackEndFiles> {
    return new BackEndFiles(await connectFiles(memory, source.socket, settings.log), source, settings.log);
  }

  watch(guest: Guest): void {
    void this.#watch(guest);
  }

  stats(): StatGroup {
    return { server: this.server, reconnects: this.#reconnects, lost: this.#transport.lost ?? "no" };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#transport.close();
  }

  async #watch(guest: Guest): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await sleep(LOOK_AGAIN_MS, undefined, { ref: false, signal }).catch(() => {});
      if (signal.aborted || this.#transport.lost === undefined) continue;
      try {
        await guest.replaceFiles(async () => {
          await this.#transport.reconnect();
          return this.#transport;
        });
        this.#reconnects++;
        this.#log.info("the file back-end is there again", { reconnects: this.#reconnects });
      } catch (error) {
        this.#log.debug("the file back-end is not there yet", { reason: String(error) });
      }
    }
  }
}

/** virtiofsd, started by us for the machine's directory, and started again when it ends. */
class SpawnedFiles implements FileDevice {
  readonly server: string;
  readonly devices: NonNullable<GuestDevices["files"]>;
  readonly #transport: VhostUserTransport;
  readonly #supervisor: Supervisor<Daemon>;
  readonly #onGuest: (guest: Guest | undefined) => void;

  private constructor(
    server: string,
    devices: NonNullable<GuestDevices["files"]>,
    transport: VhostUserTransport,
    supervisor: Supervisor<Daemon>,
    onGuest: (guest: Guest | undefined) => void,
  ) {
    this.server = server;
    this.devices = devices;
    this.#transport = transport;
    this.#supervisor = supervisor;
    this.#onGuest = onGuest;
  }

  /** @throws HostDirectoryError, VhostUserMachineError ENOENT, DaemonError, VirtioError */
  static async open({ settings, memory }: FileDeviceOptions, served: Served): Promise<SpawnedFiles> {
    const { log } = settings;
    const { path, access, cache, cacheBytes } = served;
    // The same errors for a directory that cannot be served as on every machine.
    new HostDirectory({ path, access }).close();
    const [command] = findDaemons("virtiofsd");
    if (command === undefined) {
      throw new VhostUserMachineError(
        "ENOENT",
        "virtiofsd is not installed: Debian has it in qemu-system-common (12) and virtiofsd (13), cargo as virtiofsd",
      );
    }
    let onGuest: (guest: Guest | undefined) => void = () => {};
    const guestIsUp = new Promise<Guest | undefined>((resolved) => {
      onGuest = resolved;
    });
    let transport: VhostUserTransport | undefined;
    const supervisor = await supervise({
      name: "virtiofsd",
      log,
      start: () => startVirtiofsd({ directory: resolve(path), command, cache, access, log }),
      async replaced({ pid, socketPath }) {
        const guest = await guestIsUp;
        if (guest === undefined) throw new Error("the machine has stopped");
        await guest.replaceFiles(async () => {
          if (transport === undefined) throw new Error("there was no connection");
          await transport.reconnect({ socketPath });
          return transport;
        });
        log.info("virtiofsd was started again", { pid });
      },
    });
    try {
      transport = await connectFiles(memory, supervisor.daemon.socketPath, log);
    } catch (error) {
      onGuest(undefined);
      await supervisor.stop();
      throw error;
    }
    const { version } = virtiofsdVersion(command);
    const { pid } = supervisor.daemon;
    const devices = { transport, cache, cacheBytes, replaceable: { access } };
    return new SpawnedFiles(
      `virtiofsd ${version} (pid ${pid}) serves ${path}`,
      devices,
      transport,
      supervisor,
      onGuest,
    );
  }

  watch(guest: Guest): void {
    this.#onGuest(guest);
  }

  stats(): StatGroup {
    const { daemon, restarts } = this.#supervisor;
    return { server: this.server, pid: daemon.pid, restarts, lost: this.#transport.lost ?? "no" };
  }

  async close(): Promise<void> {
    // The daemon ends when it sees its socket closed: nobody is to take that for a death.
    this.#onGuest(undefined); // unless it has been up
    await this.#transport.close();
    await this.#supervisor.stop();
  }
}
