/**
 * The host's side of one device: the registers that a driver reads and writes, whatever carries them (a call in this
 * thread, shared words, vhost-user messages, MMIO). It runs the status machine and the negotiation, checks where the
 * driver puts its queues, and hands the device queues that are ready.
 *
 * A driver is a peer: nothing it writes here throws. What is not allowed changes nothing, is counted and logged, and
 * `lastFault` says what it was; a driver learns it the way the specification means it to, by reading back.
 */
import type { GuestMemory } from "@toril/memory";
import { type DeviceQueue, layoutProblem, type QueueLayout, SplitDeviceQueue } from "@toril/virtqueue";
import { ConfigRegisters } from "./config-registers.ts";
import type { Device } from "./device.ts";
import { ActiveContext, type ContextHost } from "./device-context.ts";
import { DeviceStatus, describeStatus } from "./device-status.ts";
import { type DriverFault, driverFault } from "./driver-fault.ts";
import { Feature, hasFeature, RING_FEATURES } from "./features.ts";
import { featuresToOffer, negotiationFault } from "./negotiation.ts";
import { type Doorbell, type Log, type Pollable, silentLog } from "./platform/index.ts";
import { statusStep } from "./status-machine.ts";
import type { InterruptHandler } from "./transport.ts";

export interface DeviceHostOptions {
  readonly device: Device;
  /** The guest memory that the device may reach. */
  readonly memory: GuestMemory;
  /** Wakes the loop that polls this host; none when that loop never sleeps. */
  readonly doorbell?: Doorbell;
  readonly log?: Log;
  /** Ring features to offer, a subset of RING_FEATURES (the default). VERSION_1 is always offered. */
  readonly ringFeatures?: bigint;
}

/** Counters; they only grow. */
export interface DeviceHostStats {
  /** Available buffer notifications that the driver sent. */
  readonly notifications: number;
  /** Used buffer notifications that the device sent. */
  readonly interrupts: number;
  readonly resets: number;
  /** Writes of the driver that were not allowed and changed nothing. */
  readonly driverFaults: number;
}

/** Where the driver put a queue. */
interface Placement {
  readonly layout: QueueLayout;
  readonly startIndex: number;
}

const { DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET } = DeviceStatus;

export class DeviceHost implements Pollable {
  readonly device: Device;
  readonly memory: GuestMemory;
  /** What a driver reads: the device's own features, those of the rings, VERSION_1. */
  readonly offeredFeatures: bigint;
  readonly #doorbell: Doorbell | undefined;
  readonly #log: Log;
  readonly #config: ConfigRegisters;
  readonly #placements: (Placement | undefined)[];
  readonly #contextHost: ContextHost;
  readonly #stats = { notifications: 0, interrupts: 0, resets: 0, driverFaults: 0 };
  #driver: InterruptHandler | undefined;
  #status = 0;
  #driverFeatures = 0n;
  /** Undefined when the device is not live, or needs a reset. */
  #active: ActiveContext | undefined;
  /** `activate` was called, and `reset` was not yet. */
  #started = false;
  #lastFault: DriverFault | undefined;

  /** @throws RangeError when the device offers bits that are the transport's, or ringFeatures has others than its own. */
  constructor(options: DeviceHostOptions) {
    const { device, memory, doorbell, log = silentLog, ringFeatures = RING_FEATURES } = options;
    this.device = device;
    this.memory = memory;
    this.offeredFeatures = featuresToOffer(device, ringFeatures);
    this.#doorbell = doorbell;
    this.#log = log;
    this.#config = new ConfigRegisters(device);
    this.#placements = device.queueMaxSizes.map(() => undefined);
    this.#contextHost = {
      memory,
      interruptQueue: (queueIndex) => this.#interruptQueue(queueIndex),
      ringLoop: () => this.#doorbell?.ring(),
      breakDevice: (reason) => this.#breakDevice(reason),
      announceConfig: () => this.#announceConfig(),
    };
  }

  get stats(): DeviceHostStats {
    return this.#stats;
  }

  /** The last thing the driver did that was not allowed. */
  get lastFault(): DriverFault | undefined {
    return this.#lastFault;
  }

  get queueCount(): number {
    return this.device.queueMaxSizes.length;
  }

  /** 0 when there is no such queue. */
  maxQueueSize(queueIndex: number): number {
    return this.device.queueMaxSizes[queueIndex] ?? 0;
  }

  /**
   * Where interrupts go; `undefined`: nowhere. The handler is called from within the device's calls, so it may only note
   * and ring (`InterruptFlags` does); it must not throw.
   */
  onInterrupt(handler: InterruptHandler | undefined): void {
    this.#driver = handler;
  }

  get status(): number {
    return this.#status;
  }

  /** §2.1. Writing 0 resets. The fault, when nothing was changed. */
  writeStatus(written: number): DriverFault | undefined {
    const step = statusStep(this.#status, written);
    switch (step.kind) {
      case "reset":
        this.reset();
        return undefined;
      case "note":
        this.#status = step.status;
        return undefined;
      case "check-features":
        return this.#checkFeatures(step.status);
      case "go-live":
        this.#status = step.status;
        this.#activate();
        return undefined;
      case "give-up":
        this.#status = step.status;
        this.#deactivate();
        return undefined;
      case "fault":
        return this.#fault(step.fault);
      default:
        return step satisfies never;
    }
  }

  /** §2.4.1: the device stops, the status is 0, and nothing is interrupted from now on. */
  reset(): void {
    this.#deactivate();
    this.#status = 0;
    this.#driverFeatures = 0n;
    this.#placements.fill(undefined);
    this.#stats.resets++;
  }

  /** What the driver has accepted so far. */
  get driverFeatures(): bigint {
    return this.#driverFeatures;
  }

  /** §2.2: takes effect with FEATURES_OK. */
  writeDriverFeatures(features: bigint): DriverFault | undefined {
    if ((this.#status & DRIVER) === 0 || (this.#status & FEATURES_OK) !== 0) {
      // §3.1.1: "The driver MUST NOT accept new feature bits after" setting FEATURES_OK.
      const when = describeStatus(this.#status);
      return this.#fault(
        driverFault("3.1.1", `features written in status ${when}: only between DRIVER and FEATURES_OK`),
      );
    }
    this.#driverFeatures = features;
    return undefined;
  }

  /** §2.5: changes whenever config space may have changed. */
  get configGeneration(): number {
    return this.#config.generation;
  }

  /** §2.5.2: may be read in every status. Bytes past the device's config space read as 0. */
  readConfig(offset: number, length: number): Uint8Array {
    return this.#config.read(offset, length);
  }

  writeConfig(offset: number, bytes: Uint8Array): DriverFault | undefined {
    const fault = this.#config.write(offset, bytes, this.#status);
    return fault === undefined ? undefined : this.#fault(fault);
  }

  /**
   * §3.1.1 step 7: where a queue lies. The fault, when it is not taken.
   * @param startIndex where its rings stand, when another back-end has served them before (vhost-user); 0 unless told.
   */
  enableQueue(queueIndex: number, layout: QueueLayout, startIndex = 0): DriverFault | undefined {
    const inTime = (this.#status & FEATURES_OK) !== 0 && (this.#status & DRIVER_OK) === 0;
    if (!inTime) {
      const when = describeStatus(this.#status);
      const window = "only between FEATURES_OK and DRIVER_OK";
      return this.#fault(driverFault("3.1.1", `queue ${queueIndex} enabled in status ${when}: ${window}`));
    }
    const maxSize = this.maxQueueSize(queueIndex);
    const problem = layout.size > maxSize ? `the maximum is ${maxSize}` : layoutProblem(this.memory, layout);
    if (problem !== undefined) {
      return this.#fault(driverFault("2.7", `queue ${queueIndex} of ${layout.size} entries refused: ${problem}`));
    }
    this.#placements[queueIndex] = { layout: { ...layout }, startIndex: startIndex & 0xffff };
    return undefined;
  }

  /** An available buffer notification. Rings the loop that polls this host; never runs the device here. */
  notify(queueIndex: number): void {
    this.#stats.notifications++;
    if (this.#active !== undefined && queueIndex < this.queueCount) this.#doorbell?.ring();
    // §2.1.1 and §3.1.1: "The driver MUST NOT send any buffer available notifications to the device before DRIVER_OK".
    else this.#fault(driverFault("3.1.1", `queue ${queueIndex} notified in status ${describeStatus(this.#status)}`));
  }

  /** Lets the device work, when it is live. */
  poll(): boolean {
    const active = this.#active;
    if (active === undefined) return false;
    let worked = false;
    try {
      worked = this.device.poll();
    } catch (error) {
      this.#breakDevice(`the device failed: ${String(error)}`);
      return true;
    }
    // The driver broke a queue: nothing more can come from it, so the device needs a reset, whatever it thinks.
    for (let i = 0; i < active.queues.length; i++) {
      const violation = active.queues[i]?.violation;
      if (violation === undefined || this.#active !== active) continue;
      this.#breakDevice(`queue ${i}: ${violation.message} (§${violation.section})`);
      return true;
    }
    return worked;
  }

  arm(): boolean {
    if (this.#active === undefined) return false;
    try {
      return this.device.arm();
    } catch (error) {
      this.#breakDevice(`the device failed: ${String(error)}`);
      return true;
    }
  }

  #checkFeatures(status: number): DriverFault | undefined {
    const fault = negotiationFault(this.device, this.offeredFeatures, this.#driverFeatures);
    // §2.2.2: the device "MUST fail to set the FEATURES_OK device status bit": the driver finds it unset.
    if (fault !== undefined) return this.#fault(fault);
    this.#status = status;
    return undefined;
  }

  #activate(): void {
    const features = this.#driverFeatures;
    const eventIdx = hasFeature(features, Feature.EVENT_IDX);
    const indirect = hasFeature(features, Feature.INDIRECT_DESC);
    const queues = this.#placements.map(
      (placement): DeviceQueue | undefined =>
        placement && new SplitDeviceQueue({ memory: this.memory, ...placement, eventIdx, indirect }),
    );
    const context = new ActiveContext(this.#contextHost, features, queues);
    this.#active = context;
    this.#started = true;
    try {
      this.device.activate(context);
    } catch (error) {
      this.#breakDevice(`the device could not start: ${String(error)}`);
    }
    // The driver may have filled queues already and need not notify for those: have a look.
    this.#doorbell?.ring();
  }

  #deactivate(): void {
    this.#active?.end();
    this.#active = undefined;
    if (!this.#started) return;
    this.#started = false;
    try {
      this.device.reset();
    } catch (error) {
      this.#log.error("a device failed in its reset", { device: this.device.type, reason: String(error) });
    }
  }

  #interruptQueue(queueIndex: number): void {
    this.#stats.interrupts++;
    this.#driver?.queueUsed(queueIndex);
  }

  /** §2.1.2: set the bit, and tell the driver when it is live. The device is not polled until it has been reset. */
  #breakDevice(reason: string): void {
    if ((this.#status & DEVICE_NEEDS_RESET) !== 0) return;
    this.#status |= DEVICE_NEEDS_RESET;
    this.#log.error("a device needs a reset", { device: this.device.type, reason });
    this.#active?.end();
    this.#active = undefined;
    if ((this.#status & DRIVER_OK) !== 0) this.#driver?.configChanged();
  }

  #announceConfig(): void {
    this.#config.changed();
    this.#driver?.configChanged();
  }

  #fault(fault: DriverFault): DriverFault {
    this.#stats.driverFaults++;
    this.#lastFault = fault;
    this.#log.warn("a driver broke the rules", {
      device: this.device.type,
      rule: `§${fault.section}`,
      what: fault.message,
    });
    return fault;
  }
}
