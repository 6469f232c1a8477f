/**
 * What a host serves: one virtio device, seen from the side that implements it. A host (the in-process transport, a
 * device worker, a vhost-user back-end) owns the registers and the negotiation; the device gets queues that are ready.
 */
import type { GuestMemory } from "@toril/memory";
import type { DeviceQueue } from "@toril/virtqueue";
import type { Pollable } from "./platform/index.ts";

/** What an activated device works with, until it is reset. */
export interface DeviceContext {
  readonly memory: GuestMemory;
  /** The features both sides agreed on. */
  readonly features: bigint;
  /** Index = queue number; a queue that the driver did not enable is undefined. */
  readonly queues: readonly (DeviceQueue | undefined)[];
  /** Sends a used buffer notification: call it when `queue.publish()` asks for it. */
  interrupt(queueIndex: number): void;
  /** Work came in from outside the rings (a socket, a timer): have `poll` called soon. */
  wake(): void;
  /** §2.1.2: the device met an error that it cannot recover from; sets DEVICE_NEEDS_RESET and tells the driver. */
  needsReset(reason: string): void;
  /** Config space changed: bumps the generation and tells the driver. */
  configChanged(): void;
}

export interface Device extends Pollable {
  /** A number of §5; `DeviceType` names those of this project. */
  readonly type: number;
  /** Device-type feature bits (0–23, 50–127 in §2.2); the host adds those of rings and transport. */
  readonly offeredFeatures: bigint;
  /**
   * Why the device cannot work with these accepted features (a required one is left out, two exclude each other): the
   * host then refuses FEATURES_OK (§2.2.2). `undefined`: it can. Absent: any subset of what is offered will do.
   */
  refuseFeatures?(accepted: bigint): string | undefined;
  /** The largest size of each queue, in queue order; powers of two. */
  readonly queueMaxSizes: readonly number[];
  /** The whole config space as it is now (§2.5); little-endian. */
  readConfig(): Uint8Array;
  /** A driver's write to config space; absent where nothing is writable: the write is ignored. */
  writeConfig?(offset: number, bytes: Uint8Array): void;
  /** The driver set DRIVER_OK: serve from now on. Only take the context here; `poll` does the work. */
  activate(context: DeviceContext): void;
  /** Stop at once: touch no queue and no guest memory after this returns. May be activated again. */
  reset(): void;
}
