/** The context of one activation. It dies with the reset: whatever a device still calls on it then has no effect. */
import type { GuestMemory } from "@toril/memory";
import type { DeviceQueue } from "@toril/virtqueue";
import type { DeviceContext } from "./device.ts";

/** What a context needs of its host. */
export interface ContextHost {
  readonly memory: GuestMemory;
  interruptQueue(queueIndex: number): void;
  ringLoop(): void;
  breakDevice(reason: string): void;
  announceConfig(): void;
}

export class ActiveContext implements DeviceContext {
  readonly memory: GuestMemory;
  readonly features: bigint;
  readonly queues: readonly (DeviceQueue | undefined)[];
  #host: ContextHost | undefined;

  constructor(host: ContextHost, features: bigint, queues: readonly (DeviceQueue | undefined)[]) {
    this.#host = host;
    this.memory = host.memory;
    this.features = features;
    this.queues = queues;
  }

  /** §2.4.1: after a reset a device "MUST NOT send notifications": the calls below do nothing from now on. */
  end(): void {
    this.#host = undefined;
  }

  interrupt(queueIndex: number): void {
    this.#host?.interruptQueue(queueIndex);
  }

  wake(): void {
    this.#host?.ringLoop();
  }

  needsReset(reason: string): void {
    this.#host?.breakDevice(reason);
  }

  configChanged(): void {
    this.#host?.announceConfig();
  }
}
