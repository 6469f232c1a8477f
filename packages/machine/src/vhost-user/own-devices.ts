/** Devices of our own on a vhost-user machine: in its thread, over the same mapped memory. */
import type { Core } from "@toril/kernel";
import type { GuestMemory } from "@toril/memory";
import { type Device, DeviceHost, InProcessTransport } from "@toril/virtio";
import type { Log } from "@toril/virtio/platform";
import type { StatGroup } from "../stats.ts";
import type { Sys } from "../sys.ts";

export class OwnDevices {
  readonly core: Core<Sys>;
  readonly #memory: GuestMemory;
  readonly #log: Log;
  readonly #hosts: DeviceHost[] = [];

  constructor(core: Core<Sys>, memory: GuestMemory, log: Log) {
    this.core = core;
    this.#memory = memory;
    this.#log = log;
  }

  attach(device: Device, name: string): InProcessTransport {
    const { core } = this;
    const host = new DeviceHost({ device, memory: this.#memory, doorbell: core.bell, log: this.#log });
    this.#hosts.push(host);
    core.dedicate(host, name);
    return new InProcessTransport(host);
  }

  /** Of the transports to them, together. */
  stats(): StatGroup {
    const notifications = this.#hosts.reduce((sum, host) => sum + host.stats.notifications, 0);
    const interrupts = this.#hosts.reduce((sum, host) => sum + host.stats.interrupts, 0);
    return { notifications, interrupts };
  }
}
