/** The vsock device of a vhost-user machine: vhost-device-vsock, somebody's back-end, or our own; and how TCP gets to it. */
import { UnixForward } from "@toril/host";
import {
  connectFrontEnd,
  findDaemons,
  type MemfdMemory,
  startVhostDeviceVsock,
  type VhostUserTransport,
  vhostDeviceVsockVersion,
} from "@toril/vhost-user";
import { DeviceType, type Transport } from "@toril/virtio";
import { VsockDevice } from "@toril/vsock/device";
import { openForward } from "../forward.ts";
import type { Guest } from "../guest.ts";
import type { Forward, ForwardOptions } from "../machine.ts";
import type { MachineSettings } from "../settings.ts";
import { type StatGroup, statGroup } from "../stats.ts";
import { BackEndKeeper, DaemonKeeper, type Keeper } from "./keepers.ts";
import type { OwnDevices } from "./own-devices.ts";

/** A forward as the machine holds it: it can be ended with a time of grace. */
export interface OpenForward {
  readonly forward: { close(options: { readonly graceMs: number }): Promise<void> };
  readonly face: Forward;
}

export interface NetworkDevice {
  /** Who serves the network, in a few words. */
  readonly server: string;
  readonly transport: Transport;
  /** Ours; `undefined`: it is another process. */
  readonly device: VsockDevice | undefined;
  /** The other process's Unix socket, if known. */
  readonly hostSocket: string | undefined;
  /** It may be replaced, unless it is our own. */
  readonly replaceable: "replaceable" | "lasting";
  /** From now on the device may be replaced: the guest is up. */
  watch(guest: Guest): void;
  stats(): StatGroup;
  forward(options: ForwardOptions): Promise<OpenForward>;
  close(): Promise<void>;
}

export interface NetworkOptions {
  readonly settings: MachineSettings;
  readonly memory: MemfdMemory;
  readonly own: OwnDevices;
}

export async function openNetworkDevice(options: NetworkOptions): Promise<NetworkDevice> {
  const { settings, memory } = options;
  const source = settings.vhostUser?.vsock ?? { kind: "own" };
  switch (source.kind) {
    case "own":
      return ownVsock(options);
    case "back-end": {
      const { socket, uds } = source;
      const keeper = new BackEndKeeper(await connectVsock(memory, socket, settings), "vsock device", settings.log);
      return new UnixNetwork(`the back-end at ${socket}`, keeper, () => uds, settings);
    }
    case "spawn": {
      const [command] = findDaemons("vhost-device-vsock");
      return command === undefined ? ownVsock(options) : spawnVsock(options, command);
    }
    default:
      return source satisfies never;
  }
}

function ownVsock({ settings, own }: NetworkOptions): NetworkDevice {
  const { cid, log, tuning } = settings;
  const device = new VsockDevice({ ...tuning.device, guestCid: cid, clock: own.core.clock, log });
  return {
    server: `our own device, CID ${cid}`,
    transport: own.attach(device, "vsock device"),
    replaceable: "lasting",
    watch: () => {},
    device,
    hostSocket: undefined,
    stats: () => statGroup(device.stats),
    forward: (options) => openForward(device, options, log),
    close: async () => {},
  };
}

function connectVsock(memory: MemfdMemory, socketPath: string, { log }: MachineSettings): Promise<VhostUserTransport> {
  return connectFrontEnd({ socketPath, memory, deviceType: DeviceType.Vsock, log });
}

async function spawnVsock({ settings, memory }: NetworkOptions, command: string): Promise<NetworkDevice> {
  const { cid, log } = settings;
  const version = vhostDeviceVsockVersion(command);
  const keeper = await DaemonKeeper.open({
    name: "vhost-device-vsock",
    log,
    start: () => startVhostDeviceVsock({ guestCid: cid, command, log }),
    connect: ({ socketPath }) => connectVsock(memory, socketPath, settings),
  });
  const server = `vhost-device-vsock ${version} (pid ${keeper.daemon.pid}), CID ${cid}`;
  return new UnixNetwork(server, keeper, () => keeper.daemon.hostSocketPath, settings);
}

/** A back-end whose host side is a Unix socket in Firecracker's scheme. */
class UnixNetwork implements NetworkDevice {
  readonly server: string;
  readonly transport: VhostUserTransport;
  readonly replaceable = "replaceable";
  readonly device = undefined;
  readonly #keeper: Keeper;
  /** Each daemon has its own. */
  readonly #uds: () => string | undefined;
  readonly #settings: MachineSettings;
  readonly #forwards: UnixForward[] = [];

  constructor(server: string, keeper: Keeper, uds: () => string | undefined, settings: MachineSettings) {
    this.server = server;
    this.transport = keeper.transport;
    this.#keeper = keeper;
    this.#uds = uds;
    this.#settings = settings;
  }

  get hostSocket(): string | undefined {
    return this.#uds();
  }

  watch(guest: Guest): void {
    this.#keeper.watch(guest.networkSeat);
  }

  stats(): StatGroup {
    const sum = { opened: 0, open: 0, refused: 0, bytesFromGuest: 0, bytesToGuest: 0 };
    for (const { stats } of this.#forwards) {
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += stats[name];
    }
    return { server: this.server, ...sum, ...this.#keeper.stats() };
  }

  /** @throws BridgeError; Error when there is no Unix socket to connect to */
  async forward({ host, port, guestPort, maxConnections }: ForwardOptions): Promise<OpenForward> {
    const path = this.hostSocket;
    if (path === undefined) throw new Error("no port can be forwarded: the vsock back-end's Unix socket is not known");
    const forward = await UnixForward.start({
      // Who connects to vhost-device-vsock before the guest is up stops it for ever (docs/interop.md).
      path: () => (this.#keeper.inUse ? this.hostSocket : undefined),
      listen: host === undefined ? { port } : { host, port },
      guestPort,
      log: this.#settings.log,
      ...(maxConnections === undefined ? {} : { maxConnections }),
    });
    this.#forwards.push(forward);
    const close = (): Promise<void> => forward.close({ graceMs: Number.POSITIVE_INFINITY });
    return { forward, face: { ...forward.address, guestPort, close } };
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }
}
