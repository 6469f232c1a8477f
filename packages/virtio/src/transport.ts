/**
 * What a driver sees of a device (virtio 1.3 §2 and §4): status, features, config space, queues and notifications.
 * The in-process transport, a shared-memory one between threads, vhost-user and MMIO all have this face.
 *
 * Set-up calls may wait (`MaybePromise`): behind vhost-user they are messages. What runs per buffer never waits.
 */
import type { GuestMemory } from "@toril/memory";
import type { QueueLayout } from "@toril/virtqueue";

export type MaybePromise<T> = T | Promise<T>;

/**
 * What the device tells the driver outside the rings (§2.3, §4.1.5.3). Called on the driver's own thread, perhaps from
 * within a call of the device: note it and ring the loop (`InterruptFlags` does that), act in `poll`. Must not throw.
 */
export interface InterruptHandler {
  /** The device has used buffers of this queue. */
  queueUsed(queueIndex: number): void;
  /** Config space changed, or the device needs a reset: look at both. */
  configChanged(): void;
}

export interface Transport {
  /** A number of §5; `DeviceType` names those of this project. */
  readonly deviceType: number;
  /** The guest memory that both sides see. */
  readonly memory: GuestMemory;
  readonly queueCount: number;
  /** Largest size the device accepts for a queue (§2.6), 0 when it does not have that queue. */
  maxQueueSize(queueIndex: number): number;

  /** §2.1: writing 0 resets; done when the device reports 0. */
  reset(): MaybePromise<void>;
  readStatus(): MaybePromise<number>;
  writeStatus(status: number): MaybePromise<void>;

  readDeviceFeatures(): MaybePromise<bigint>;
  writeDriverFeatures(features: bigint): MaybePromise<void>;

  /** §2.5.1: changes whenever config space may have changed. */
  readConfigGeneration(): MaybePromise<number>;
  /** A private copy of config bytes. Bytes past the device's config space read as 0. */
  readConfig(offset: number, length: number): MaybePromise<Uint8Array>;
  writeConfig(offset: number, bytes: Uint8Array): MaybePromise<void>;

  /** Tells the device where a queue lies, and enables it. The rings are zeroed already. */
  enableQueue(queueIndex: number, layout: QueueLayout): MaybePromise<void>;

  /** §4: an available buffer notification. Never runs the device inside this call. */
  notify(queueIndex: number): void;
  /** Where interrupts go from now on; replaces the earlier handler. */
  onInterrupt(handler: InterruptHandler): void;
  /** Lets go of the device (it is reset) and of everything the transport holds. */
  close(): MaybePromise<void>;
}
