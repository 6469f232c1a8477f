/** A live device as its driver holds it: the queues, notifications with their counters, config space, the reset. */
import type { DmaBuffer } from "@toril/memory";
import type { DriverQueue } from "@toril/virtqueue";
import { DeviceStatus } from "./device-status.ts";
import { hasFeature } from "./features.ts";
import type { Transport } from "./transport.ts";
import { VirtioError } from "./virtio-error.ts";

/** How often config space may change while it is read before that is the device's fault. */
const MAX_CONFIG_READS = 64;

/** Available buffer notifications of one queue: those that the device asked for, and those it did not want. */
export interface NotificationCount {
  sent: number;
  suppressed: number;
}

interface Parts<Token> {
  readonly transport: Transport;
  readonly features: bigint;
  readonly queues: readonly DriverQueue<Token>[];
  readonly indices: readonly number[];
  readonly rings: readonly DmaBuffer[];
}

export class InitializedDevice<Token> {
  readonly transport: Transport;
  /** The features both sides agreed on. */
  readonly features: bigint;
  /** In the order in which they were asked for. */
  readonly queues: readonly DriverQueue<Token>[];
  readonly #indices: readonly number[];
  readonly #rings: readonly DmaBuffer[];
  /** `starting`: DRIVER_OK is not set yet, notifications are held back. */
  #phase: "starting" | "live" | "ended" = "starting";
  /** By the queue's place in `queues`. They only grow. */
  readonly notifications: readonly NotificationCount[];

  /** Made by `initializeDevice`. */
  constructor(parts: Parts<Token>) {
    this.transport = parts.transport;
    this.features = parts.features;
    this.queues = parts.queues;
    this.#indices = parts.indices;
    this.#rings = parts.rings;
    this.notifications = parts.queues.map(() => ({ sent: 0, suppressed: 0 }));
  }

  get notificationsSent(): number {
    return this.notifications.reduce((sum, { sent }) => sum + sent, 0);
  }

  get notificationsSuppressed(): number {
    return this.notifications.reduce((sum, { suppressed }) => sum + suppressed, 0);
  }

  /** Whether a feature was negotiated; `bit` is a number such as `Feature.EVENT_IDX`. */
  has(bit: number): boolean {
    return hasFeature(this.features, bit);
  }

  /**
   * One queue, by its place in `queues`.
   * @throws RangeError when it was not asked for.
   */
  queue(position: number): DriverQueue<Token> {
    const queue = this.queues[position];
    if (queue === undefined) throw new RangeError(`queue ${position} was not set up: there are ${this.queues.length}`);
    return queue;
  }

  /** Publishes the ended chains of a queue and notifies the device if it asked to be. */
  publish(position: number): void {
    const queue = this.queues[position];
    const index = this.#indices[position];
    const count = this.notifications[position];
    if (queue === undefined || index === undefined || count === undefined || this.#phase === "ended") return;
    if (!queue.publish()) {
      count.suppressed++;
    } else if (this.#phase === "live") {
      count.sent++;
      this.transport.notify(index);
    }
  }

  /**
   * DRIVER_OK is set: called by `initializeDevice`, once. Notifies every queue that was filled before, since §3.1.1
   * forbids a driver to do so earlier.
   */
  goLive(): void {
    this.#phase = "live";
    this.queues.forEach((queue, position) => {
      const index = this.#indices[position];
      const count = this.notifications[position];
      if (index === undefined || count === undefined || queue.inFlight === 0) return;
      count.sent++;
      this.transport.notify(index);
    });
  }

  /**
   * Config bytes that belong together (§2.5.1): reads again when the generation has changed meanwhile.
   * @throws VirtioError ERR_DEVICE_BROKEN when it never holds still.
   */
  async readConfig(offset: number, length: number): Promise<Uint8Array> {
    for (let attempt = 0; attempt < MAX_CONFIG_READS; attempt++) {
      const before = await this.transport.readConfigGeneration();
      const bytes = await this.transport.readConfig(offset, length);
      if ((await this.transport.readConfigGeneration()) === before) return bytes;
    }
    const message = `config space changed during each of ${MAX_CONFIG_READS} reads`;
    throw new VirtioError("ERR_DEVICE_BROKEN", message);
  }

  /** §2.1.2: whether the device asks for a reset. Look after a configuration change. */
  async needsReset(): Promise<boolean> {
    return ((await this.transport.readStatus()) & DeviceStatus.DEVICE_NEEDS_RESET) !== 0;
  }

  /**
   * §2.4: resets the device, ends this object, and frees the rings. For another go call `initializeDevice` again.
   * @returns what was in flight, queue by queue: the device will not touch those buffers any more.
   */
  async reset(): Promise<Token[][]> {
    if (this.#phase === "ended") return this.queues.map(() => []);
    this.#phase = "ended";
    await this.transport.reset();
    const inFlight = this.queues.map((queue) => queue.reset());
    for (const ring of this.#rings) {
      ring.giveBack();
      ring.free();
    }
    return inFlight;
  }
}
