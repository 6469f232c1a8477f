/**
 * A device that answers every chain with the bytes it was sent: the smallest thing that exercises a transport, a host and
 * a driver from end to end. Feature bit 0 makes it answer backwards; its config space is a greeting that can be changed.
 */
import type { Chain } from "@toril/virtqueue";
import type { Device, DeviceContext } from "../device.ts";

/** No type of the specification. */
export const ECHO_DEVICE_TYPE = 65_000;
/** Feature bit: answers are reversed. */
export const ECHO_REVERSED = 0;
/** Feature bit: a driver must take it when the device is made with `requires: "bit-1"`. */
export const ECHO_REQUIRED = 1;

export interface EchoOptions {
  /** The maximum size of each queue; one queue of 64 unless told. */
  readonly queueMaxSizes?: readonly number[];
  /** Config space at first; 16 bytes of 0, 1, 2 … unless told. The driver may write it. */
  readonly config?: Uint8Array;
  readonly requires?: "nothing" | "bit-1";
}

export class EchoDevice implements Device {
  readonly type: number = ECHO_DEVICE_TYPE;
  readonly offeredFeatures: bigint = 0b11n;
  readonly queueMaxSizes: readonly number[];
  readonly #requires: "nothing" | "bit-1";
  #config: Uint8Array;
  #context: DeviceContext | undefined;
  /** One per queue: a chain object belongs to its queue. */
  #chains: (Chain | undefined)[] = [];
  /** Chains answered since it was made. */
  answered = 0;
  activations = 0;
  resets = 0;

  constructor(options: EchoOptions = {}) {
    this.queueMaxSizes = options.queueMaxSizes ?? [64];
    this.#config = options.config ?? Uint8Array.from({ length: 16 }, (_, i) => i);
    this.#requires = options.requires ?? "nothing";
  }

  /** What it was activated with; `undefined` when it is not live. */
  get context(): DeviceContext | undefined {
    return this.#context;
  }

  refuseFeatures(accepted: bigint): string | undefined {
    if (this.#requires === "nothing" || (accepted & 0b10n) !== 0n) return undefined;
    return "bit 1 is required";
  }

  readConfig(): Uint8Array {
    return this.#config;
  }

  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#config = this.#config.slice();
    this.#config.set(bytes, offset);
  }

  /** Changes config space and announces it, if there is a driver. */
  setConfig(config: Uint8Array): void {
    this.#config = config;
    this.#context?.configChanged();
  }

  activate(context: DeviceContext): void {
    this.activations++;
    this.#context = context;
    this.#chains = context.queues.map((queue) => queue?.createChain());
  }

  reset(): void {
    this.resets++;
    this.#context = undefined;
    this.#chains = [];
  }

  poll(): boolean {
    const context = this.#context;
    if (context === undefined) return false;
    const reversed = (context.features & 0b1n) !== 0n;
    let worked = false;
    for (let i = 0; i < context.queues.length; i++) {
      const queue = context.queues[i];
      const chain = this.#chains[i];
      if (queue === undefined || chain === undefined) continue;
      let done = 0;
      while (queue.next(chain)) {
        const bytes = new Uint8Array(chain.readableBytes);
        chain.read(0, bytes);
        queue.complete(chain.head, chain.write(0, reversed ? bytes.reverse() : bytes));
        done++;
      }
      if (done === 0) continue;
      worked = true;
      this.answered += done;
      if (queue.publish()) context.interrupt(i);
    }
    return worked;
  }

  arm(): boolean {
    let waiting = false;
    for (const queue of this.#context?.queues ?? []) if (queue?.armAvailableNotifications()) waiting = true;
    return waiting;
  }
}
