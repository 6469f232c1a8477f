/** The file device of a vhost-user machine: a daemon that we keep running, somebody's back-end, or our own device. */
import { resolve } from "node:path";
import { HostDirectory } from "@toril/host";
import {
  connectFrontEnd,
  findDaemons,
  type MemfdMemory,
  startVirtiofsd,
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
import { BackEndKeeper, DaemonKeeper, type Keeper } from "./keepers.ts";
import type { VhostUserSettings } from "./options.ts";
import type { OwnDevices } from "./own-devices.ts";

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
      return backEndFiles(options, source);
    case "own":
      return directory === undefined ? undefined : ownFiles(options, directory);
    case "spawn":
      return directory === undefined ? undefined : spawnFiles(options, directory);
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

/** Somebody's back-end. What may be changed is for it to say. */
async function backEndFiles(
  { memory, settings }: FileDeviceOptions,
  { socket, cache, cacheBytes }: Extract<VhostUserSettings["files"], { kind: "back-end" }>,
): Promise<FileDevice> {
  const { log } = settings;
  const keeper = new BackEndKeeper(await connectFiles(memory, socket, log), "file device", log);
  return kept(`the back-end at ${socket}`, keeper, settings, { cache, cacheBytes, access: "writable" });
}

/**
 * virtiofsd, started by us for the machine's directory, and started again when it ends.
 * @throws HostDirectoryError, VhostUserMachineError ENOENT, DaemonError, VirtioError
 */
async function spawnFiles({ settings, memory }: FileDeviceOptions, served: Served): Promise<FileDevice> {
  const { log } = settings;
  const { path, access, cache } = served;
  // The same errors for a directory that cannot be served as on every machine.
  new HostDirectory({ path, access }).close();
  const [command] = findDaemons("virtiofsd");
  if (command === undefined) {
    throw new VhostUserMachineError(
      "ENOENT",
      "virtiofsd is not installed: Debian has it in qemu-system-common (12) and virtiofsd (13), cargo as virtiofsd",
    );
  }
  const { version } = virtiofsdVersion(command);
  const keeper = await DaemonKeeper.open({
    name: "virtiofsd",
    log,
    start: () => startVirtiofsd({ directory: resolve(path), command, cache, access, log }),
    connect: ({ socketPath }) => connectFiles(memory, socketPath, log),
  });
  return kept(`virtiofsd ${version} (pid ${keeper.daemon.pid}) serves ${path}`, keeper, settings, served);
}

/** A device in another process, which may be replaced. */
function kept(
  server: string,
  keeper: Keeper,
  { vhostUser }: MachineSettings,
  { cache, cacheBytes, access }: Omit<Served, "path">,
): FileDevice {
  const answerTimeoutMs = vhostUser?.answerTimeoutMs ?? Number.POSITIVE_INFINITY;
  const { transport } = keeper;
  return {
    server,
    devices: { transport, cache, cacheBytes, answerTimeoutMs, replaceable: { access } },
    stats: () => ({ server, ...keeper.stats() }),
    watch: (guest) => keeper.watch(guest.fileSeat),
    close: () => keeper.close(),
  };
}
