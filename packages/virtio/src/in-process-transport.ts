/**
 * A transport straight onto a device host in the same thread. A notify rings the loop that polls the host, an interrupt
 * calls the driver's handler, which only notes it: driver and device never run inside each other's calls.
 */
import type { GuestMemory } from "@toril/memory";
import type { QueueLayout } from "@toril/virtqueue";
import type { DeviceHost } from "./device-host.ts";
import type { InterruptHandler, Transport } from "./transport.ts";
import { VirtioError } from "./virtio-error.ts";

const attached = new WeakSet<DeviceHost>();

export class InProcessTransport implements Transport {
  readonly deviceType: number;
  readonly memory: GuestMemory;
  readonly queueCount: number;
  readonly #host: DeviceHost;
  #open = true;

  /** @throws VirtioError ERR_TRANSPORT when another transport is open on this host. */
  constructor(host: DeviceHost) {
    if (attached.has(host)) {
      throw new VirtioError(
        "ERR_TRANSPORT",
        `device type ${host.device.type} has a driver already: close its transport`,
      );
    }
    attached.add(host);
    this.#host = host;
    this.deviceType = host.device.type;
    this.memory = host.memory;
    this.queueCount = host.queueCount;
  }

  maxQueueSize(queueIndex: number): number {
    return this.#host.maxQueueSize(queueIndex);
  }

  reset(): void {
    this.#opened().reset();
  }

  readStatus(): number {
    return this.#opened().status;
  }

  writeStatus(status: number): void {
    this.#opened().writeStatus(status);
  }

  readDeviceFeatures(): bigint {
    return this.#opened().offeredFeatures;
  }

  writeDriverFeatures(features: bigint): void {
    this.#opened().writeDriverFeatures(features);
  }

  readConfigGeneration(): number {
    return this.#opened().configGeneration;
  }

  readConfig(offset: number, length: number): Uint8Array {
    return this.#opened().readConfig(offset, length);
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#opened().writeConfig(offset, bytes);
  }

  /** @throws VirtioError ERR_QUEUE when the host does not take the queue. */
  enableQueue(queueIndex: number, layout: QueueLayout): void {
    const fault = this.#opened().enableQueue(queueIndex, layout);
    if (fault !== undefined) throw new VirtioError("ERR_QUEUE", `${fault.message} (§${fault.section})`);
  }

  notify(queueIndex: number): void {
    if (this.#open) this.#host.notify(queueIndex);
  }

  onInterrupt(handler: InterruptHandler): void {
    this.#opened().onInterrupt(handler);
  }

  close(): void {
    if (!this.#open) return;
    this.#host.onInterrupt(undefined);
    this.#host.reset();
    this.#open = false;
    attached.delete(this.#host);
  }

  #opened(): DeviceHost {
    if (!this.#open)
      throw new VirtioError("ERR_TRANSPORT", `the transport of device type ${this.deviceType} is closed`);
    return this.#host;
  }
}
