/** A device that can be made to break down, and whose queues somebody may stand in front of. */
import type { GuestMemory } from "@toril/memory";
import type { Device, DeviceContext } from "@toril/virtio";
import type { DeviceQueue } from "@toril/virtqueue";

export interface DeviceHooks {
  /** What the device gets in place of a queue. */
  readonly queue?: (queue: DeviceQueue, index: number, memory: GuestMemory) => DeviceQueue;
  /** Whether an interrupt gets through. */
  readonly interrupt?: (index: number) => boolean;
}

export class SimulatedDevice implements Device {
  readonly type: number;
  readonly offeredFeatures: bigint;
  readonly queueMaxSizes: readonly number[];
  readonly #inner: Device;
  readonly #hooks: DeviceHooks;
  #context: DeviceContext | undefined;

  constructor(inner: Device, hooks: DeviceHooks = {}) {
    this.#inner = inner;
    this.#hooks = hooks;
    this.type = inner.type;
    this.offeredFeatures = inner.offeredFeatures;
    this.queueMaxSizes = inner.queueMaxSizes;
  }

  /** §2.1.2: asks for a reset, in the middle of whatever it does. Whether it was live. */
  breakDown(reason: string): boolean {
    if (this.#context === undefined) return false;
    this.#context.needsReset(reason);
    return true;
  }

  refuseFeatures(accepted: bigint): string | undefined {
    return this.#inner.refuseFeatures?.(accepted);
  }

  readConfig(): Uint8Array {
    return this.#inner.readConfig();
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#inner.writeConfig?.(offset, bytes);
  }

  activate(context: DeviceContext): void {
    this.#context = context;
    const { queue: standIn, interrupt } = this.#hooks;
    if (standIn === undefined && interrupt === undefined) {
      this.#inner.activate(context);
      return;
    }
    const { memory, features } = context;
    this.#inner.activate({
      memory,
      features,
      queues: context.queues.map((queue, i) => queue && (standIn?.(queue, i, memory) ?? queue)),
      interrupt: (index) => {
        if (interrupt?.(index) !== false) context.interrupt(index);
      },
      wake: () => context.wake(),
      needsReset: (reason) => context.needsReset(reason),
      configChanged: () => context.configChanged(),
    });
  }

  reset(): void {
    this.#context = undefined;
    this.#inner.reset();
  }

  poll(): boolean {
    return this.#inner.poll();
  }

  arm(): boolean {
    return this.#inner.arm();
  }
}
