/**
 * A transport whose messages take their time: notifications and interrupts arrive late, and not in the order in which
 * they were sent; registers answer at once or later. After a reset nothing of before arrives (§2.4.1).
 */
import type { GuestMemory } from "@toril/memory";
import { type DeviceHost, InProcessTransport, type InterruptHandler, type Transport } from "@toril/virtio";
import type { QueueLayout } from "@toril/virtqueue";
import type { Simulation } from "./simulation.ts";

export interface TransportBehaviour {
  /** The largest queue that the device seems to take. */
  readonly maxQueueSize?: number;
  /** How long a notification or an interrupt is under way, in virtual milliseconds; at once unless told. */
  readonly bellMs?: () => number;
  /** How long a register access takes; at once unless told. */
  readonly registerMs?: () => number;
}

export class SimulatedTransport implements Transport {
  readonly deviceType: number;
  readonly memory: GuestMemory;
  readonly queueCount: number;
  readonly #simulation: Simulation;
  readonly #name: string;
  readonly #inner: InProcessTransport;
  readonly #behaviour: TransportBehaviour;
  /** Resets so far: a message of an earlier life does not arrive. */
  #life = 0;

  constructor(simulation: Simulation, name: string, host: DeviceHost, behaviour: TransportBehaviour) {
    this.#simulation = simulation;
    this.#name = name;
    this.#inner = new InProcessTransport(host);
    this.#behaviour = behaviour;
    this.deviceType = this.#inner.deviceType;
    this.memory = this.#inner.memory;
    this.queueCount = this.#inner.queueCount;
  }

  maxQueueSize(queueIndex: number): number {
    const size = this.#inner.maxQueueSize(queueIndex);
    return Math.min(size, this.#behaviour.maxQueueSize ?? size);
  }

  async reset(): Promise<void> {
    await this.#register("reset");
    this.#life++;
    this.#inner.reset();
  }

  readStatus(): number {
    return this.#inner.readStatus();
  }

  async writeStatus(status: number): Promise<void> {
    await this.#register(`status ${status}`);
    if (status === 0) this.#life++;
    this.#inner.writeStatus(status);
  }

  readDeviceFeatures(): bigint {
    return this.#inner.readDeviceFeatures();
  }

  async writeDriverFeatures(features: bigint): Promise<void> {
    await this.#register("features");
    this.#inner.writeDriverFeatures(features);
  }

  readConfigGeneration(): number {
    return this.#inner.readConfigGeneration();
  }

  async readConfig(offset: number, length: number): Promise<Uint8Array> {
    await this.#register("config");
    return this.#inner.readConfig(offset, length);
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#inner.writeConfig(offset, bytes);
  }

  async enableQueue(queueIndex: number, layout: QueueLayout): Promise<void> {
    await this.#register(`queue ${queueIndex}`);
    this.#inner.enableQueue(queueIndex, layout);
  }

  notify(queueIndex: number): void {
    this.#send(`notifies ${this.#name} ${queueIndex}`, () => this.#inner.notify(queueIndex));
  }

  onInterrupt(handler: InterruptHandler): void {
    this.#inner.onInterrupt({
      queueUsed: (queueIndex) =>
        this.#send(`${this.#name} interrupts ${queueIndex}`, () => handler.queueUsed(queueIndex)),
      configChanged: () => this.#send(`${this.#name} announces a change`, () => handler.configChanged()),
    });
  }

  close(): void {
    this.#life++;
    this.#inner.close();
  }

  #send(what: string, arrive: () => void): void {
    const ms = this.#behaviour.bellMs?.() ?? 0;
    if (ms === 0) {
      this.#simulation.note(what);
      arrive();
      return;
    }
    const life = this.#life;
    this.#simulation.after(ms, what, () => {
      if (life === this.#life) arrive();
    });
  }

  async #register(what: string): Promise<void> {
    const ms = this.#behaviour.registerMs?.() ?? 0;
    if (ms > 0) await this.#simulation.sleep(ms, `${this.#name} register: ${what}`);
  }
}
