/** The vsock device of a vhost-user machine: vhost-device-vsock, somebody's back-end, or our own; and how TCP gets to it. */
import { UnixForward } from "@toril/host";
import {
  connectFrontEnd,
  findDaemons,
  type MemfdMemory,
  startVhostDeviceVsock,
  type VhostUserTransport,
  type VsockDaemon,
  vhostDeviceVsockVersion,
} from "@toril/vhost-user";
import { DeviceType, type Transport } from "@toril/virtio";
import { VsockDevice } from "@toril/vsock/device";
import { openForward } from "../forward.ts";
import type { Forward, ForwardOptions } from "../machine.ts";
import type { MachineSettings } from "../settings.ts";
import { type StatGroup, statGroup } from "../stats.ts";
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
      const transport = await connectVsock(memory, source.socket, settings);
      return new UnixNetwork(`the back-end at ${source.socket}`, transport, source.uds, settings);
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
  const daemon = await startVhostDeviceVsock({ guestCid: cid, command, log });
  try {
    const server = `vhost-device-vsock ${vhostDeviceVsockVersion(command)} (pid ${daemon.pid}), CID ${cid}`;
    const transport = await connectVsock(memory, daemon.socketPath, settings);
    return new UnixNetwork(server, transport, daemon.hostSocketPath, settings, daemon);
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

/** A back-end whose host side is a Unix socket in Firecracker's scheme. */
class UnixNetwork implements NetworkDevice {
  readonly server: string;
  readonly transport: VhostUserTransport;
  readonly device = undefined;
  readonly hostSocket: string | undefined;
  readonly #settings: MachineSettings;
  readonly #daemon: VsockDaemon | undefined;
  readonly #forwards: UnixForward[] = [];

  constructor(
    server: string,
    transport: VhostUserTransport,
    uds: string | undefined,
    settings: MachineSettings,
    daemon?: VsockDaemon,
  ) {
    this.server = server;
    this.transport = transport;
    this.hostSocket = uds;
    this.#settings = settings;
    this.#daemon = daemon;
  }

  stats(): StatGroup {
    const sum = { opened: 0, open: 0, refused: 0, bytesFromGuest: 0, bytesToGuest: 0 };
    for (const { stats } of this.#forwards) {
      for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += stats[name];
    }
    const pid = this.#daemon === undefined ? {} : { pid: this.#daemon.pid };
    return { server: this.server, ...pid, ...sum, lost: this.transport.lost ?? "no" };
  }

  /** @throws BridgeError; Error when there is no Unix socket to connect to */
  async forward({ host, port, guestPort, maxConnections }: ForwardOptions): Promise<OpenForward> {
    const path = this.hostSocket;
    if (path === undefined) throw new Error("no port can be forwarded: the vsock back-end's Unix socket is not known");
    const forward = await UnixForward.start({
      path,
      listen: host === undefined ? { port } : { host, port },
      guestPort,
      log: this.#settings.log,
      ...(maxConnections === undefined ? {} : { maxConnections }),
    });
    this.#forwards.push(forward);
    const close = (): Promise<void> => forward.close({ graceMs: Number.POSITIVE_INFINITY });
    return { forward, face: { ...forward.address, guestPort, close } };
  }

  async close(): Promise<void> {
    await this.transport.close();
    await this.#daemon?.stop();
  }
}
