/**
 * The device behind a session, live or not. It runs from Node's event loop, woken by the kick descriptors of its rings.
 * Each time that it goes live it gets a new host: with the memory, the features and the rings that there are then.
 */
import { type GuestAddress, GuestMemory } from "@toril/memory";
import { type Device, DeviceHost, DeviceStatus } from "@toril/virtio";
import type { Log } from "@toril/virtio/platform";
import type { QueueLayout } from "@toril/virtqueue";
import type { Ring } from "./rings.ts";
import type { SharedMemory } from "./shared-memory.ts";

export interface ServedDeviceOptions {
  readonly device: Device;
  readonly log: Log;
  readonly rings: readonly Ring[];
  /** Config space has changed, or the device needs a reset. */
  readonly announce: () => void;
}

interface Live {
  readonly host: DeviceHost;
  readonly memory: SharedMemory;
  /** The rings that the device was given, and where they lie: those whose place is sound. */
  readonly given: ReadonlyMap<Ring, QueueLayout>;
}

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET } = DeviceStatus;
/** Turns of the device that follow each other before Node's other events get theirs. */
const TURNS = 16;
/** Memory for a host that serves no queues: it knows the features and the config space. */
const NO_MEMORY = 65_536;

export class ServedDevice {
  /** Never live: asked for what the device offers, and whether it accepts. */
  readonly registers: DeviceHost;
  readonly #options: ServedDeviceOptions;
  #live: Live | undefined;
  #scheduled = false;

  constructor(options: ServedDeviceOptions) {
    this.#options = options;
    this.registers = new DeviceHost({
      device: options.device,
      memory: GuestMemory.allocate({ size: NO_MEMORY }),
      log: options.log,
    });
  }

  /** Who knows the config space. */
  get host(): DeviceHost {
    return this.#live?.host ?? this.registers;
  }

  /** DEVICE_NEEDS_RESET, or 0. */
  get needsReset(): number {
    return (this.#live?.host.status ?? 0) & DEVICE_NEEDS_RESET;
  }

  /** Whether the device works with these features (virtio 1.3 §2.2.2). */
  accepts(features: bigint): boolean {
    return negotiate(this.registers, features);
  }

  /** Starts it with the rings that are ready; nothing when it is live. */
  activate(features: bigint, memory: SharedMemory): void {
    if (this.#live !== undefined) return;
    const { device, log, rings, announce } = this.#options;
    const host = new DeviceHost({ device, memory: memory.guest, doorbell: { ring: () => this.#schedule() }, log });
    if (!negotiate(host, features)) return;
    const given = new Map<Ring, QueueLayout>();
    for (const [index, ring] of rings.entries()) {
      const layout = ring.started && ring.enabled === "enabled" ? ring.layout(memory) : undefined;
      if (layout !== undefined && host.enableQueue(index, layout, ring.base) === undefined) given.set(ring, layout);
    }
    host.onInterrupt({
      queueUsed: (index) => rings[index]?.interrupt(),
      configChanged: () => {
        if (this.needsReset !== 0) for (const ring of rings) ring.fail();
        announce();
      },
    });
    this.#live = { host, memory, given };
    host.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  }

  /** It lets go of its queues; where they stand is kept in the rings. */
  deactivate(): void {
    if (this.#live === undefined) return;
    const { host, memory, given } = this.#live;
    this.#live = undefined;
    host.onInterrupt(undefined);
    host.reset();
    // What was taken and not used is taken again by whoever comes next.
    for (const [ring, { usedRing }] of given) ring.base = usedIndex(memory.guest, usedRing);
  }

  notify(queueIndex: number): void {
    this.#live?.host.notify(queueIndex);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const host = this.#live?.host;
    if (host === undefined) return;
    for (let i = 0; i < TURNS; i++) if (!host.poll() && !host.arm()) return;
    this.#schedule();
  }
}

/** Up to FEATURES_OK; whether that sticks. */
function negotiate(host: DeviceHost, features: bigint): boolean {
  host.reset();
  host.writeStatus(ACKNOWLEDGE);
  host.writeStatus(ACKNOWLEDGE | DRIVER);
  host.writeDriverFeatures(features);
  return host.writeStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK) === undefined;
}

/** le16 at offset 2 of the used ring (§2.7.8). */
function usedIndex(memory: GuestMemory, usedRing: GuestAddress): number {
  const bytes = memory.bytes(usedRing, 4);
  return (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8);
}
