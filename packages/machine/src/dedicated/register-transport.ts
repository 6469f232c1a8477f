/**
 * The driver's end of a register page: a Transport to a device in another thread. Set-up commands block this thread
 * until the device's thread has answered, for a bounded time: they run at boot and at reset only.
 */
import type { GuestMemory } from "@toril/memory";
import { DeviceStatus, type InterruptHandler, type Transport, VirtioError } from "@toril/virtio";
import type { Doorbell, Pollable } from "@toril/virtio/platform";
import type { QueueLayout } from "@toril/virtqueue";
import {
  CONFIG_INTERRUPT,
  MAX_CONFIG_WRITE,
  MAX_QUEUES,
  Operation,
  Register,
  type RegisterPage,
} from "./register-page.ts";

/** A device's thread answers within microseconds; one that is this late is stuck or dead. */
const COMMAND_TIMEOUT_MS = 5_000;
/** How often a waiting driver looks whether the device's thread is still there. */
const LIVENESS_INTERVAL_MS = 50;

export interface RegisterTransportOptions {
  readonly memory: GuestMemory;
  readonly page: RegisterPage;
  /** Wakes the device's thread. */
  readonly deviceBell: Doorbell;
  /** Whether the device's thread is still running. */
  readonly deviceAlive: () => boolean;
}

export class RegisterTransport implements Transport, Pollable {
  readonly deviceType: number;
  readonly memory: GuestMemory;
  readonly queueCount: number;
  readonly #page: RegisterPage;
  readonly #bell: Doorbell;
  readonly #alive: () => boolean;
  #handler: InterruptHandler | undefined;
  #deathTold = false;

  constructor({ memory, page, deviceBell, deviceAlive }: RegisterTransportOptions) {
    this.memory = memory;
    this.#page = page;
    this.#bell = deviceBell;
    this.#alive = deviceAlive;
    this.deviceType = page.load(Register.DEVICE_TYPE);
    this.queueCount = page.load(Register.QUEUE_COUNT);
  }

  maxQueueSize(queueIndex: number): number {
    return queueIndex < this.queueCount ? this.#page.load(Register.QUEUE_SIZES + queueIndex) : 0;
  }

  reset(): void {
    this.#command(Operation.RESET);
  }

  readStatus(): number {
    return this.#page.load(Register.STATUS);
  }

  writeStatus(status: number): void {
    this.#page.setArgument(0, status);
    this.#command(Operation.WRITE_STATUS);
  }

  readDeviceFeatures(): bigint {
    const low = BigInt(this.#page.load(Register.FEATURES_LOW) >>> 0);
    return low | (BigInt(this.#page.load(Register.FEATURES_HIGH) >>> 0) << 32n);
  }

  writeDriverFeatures(features: bigint): void {
    this.#page.setArgument(0, Number(features & 0xffff_ffffn));
    this.#page.setArgument(1, Number((features >> 32n) & 0xffff_ffffn));
    this.#command(Operation.WRITE_FEATURES);
  }

  readConfigGeneration(): number {
    return this.#page.load(Register.CONFIG_GENERATION);
  }

  readConfig(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    bytes.set(this.#page.config.subarray(offset, offset + length));
    return bytes;
  }

  /** @throws RangeError when more is written than a command carries. */
  writeConfig(offset: number, bytes: Uint8Array): void {
    if (bytes.length > MAX_CONFIG_WRITE) {
      throw new RangeError(`${bytes.length} config bytes in one write: at most ${MAX_CONFIG_WRITE}`);
    }
    this.#page.setArgument(0, offset);
    this.#page.setArgument(1, bytes.length);
    new Uint8Array(this.#page.buffer, (Register.ARGUMENTS + 2) * 4, bytes.length).set(bytes);
    this.#command(Operation.WRITE_CONFIG);
  }

  /** @throws VirtioError ERR_QUEUE when the device does not take the queue. */
  enableQueue(queueIndex: number, layout: QueueLayout): void {
    this.#page.setArgument(0, queueIndex);
    this.#page.writeLayout(layout);
    if (!this.#command(Operation.ENABLE_QUEUE)) {
      throw new VirtioError("ERR_QUEUE", `the device does not take queue ${queueIndex} of ${layout.size} entries`);
    }
  }

  notify(queueIndex: number): void {
    Atomics.or(this.#page.words, Register.NOTIFICATIONS, 1 << queueIndex);
    this.#bell.ring();
  }

  onInterrupt(handler: InterruptHandler): void {
    this.#handler = handler;
  }

  close(): void {
    this.#handler = undefined;
    if (this.#alive()) this.reset();
  }

  /** Passes pending interrupts on; a device whose thread has died shows as one that needs a reset. */
  poll(): boolean {
    if (this.#page.load(Register.INTERRUPTS) === 0) return this.#noticeDeath();
    const bits = Atomics.exchange(this.#page.words, Register.INTERRUPTS, 0);
    for (let i = 0; i < MAX_QUEUES; i++) if ((bits & (1 << i)) !== 0) this.#handler?.queueUsed(i);
    if ((bits & CONFIG_INTERRUPT) !== 0) this.#handler?.configChanged();
    return true;
  }

  arm(): boolean {
    return this.#page.load(Register.INTERRUPTS) !== 0 || (!this.#deathTold && !this.#alive());
  }

  #noticeDeath(): boolean {
    if (this.#deathTold || this.#alive()) return false;
    this.#deathTold = true;
    // §2.1.2, in the dead device's name: drivers know what to do with that.
    Atomics.or(this.#page.words, Register.STATUS, DeviceStatus.DEVICE_NEEDS_RESET);
    this.#handler?.configChanged();
    return true;
  }

  /** Whether the device took it. @throws VirtioError ERR_TRANSPORT when its thread is dead or does not answer. */
  #command(operation: Operation): boolean {
    const page = this.#page;
    const number = (page.load(Register.COMMAND) + 1) | 0;
    page.store(Register.OPERATION, operation);
    page.store(Register.COMMAND, number);
    this.#bell.ring();
    for (let waited = 0; waited < COMMAND_TIMEOUT_MS; waited += LIVENESS_INTERVAL_MS) {
      const done = page.load(Register.COMMAND_DONE);
      if (done === number) return page.load(Register.REFUSED) === 0;
      if (!this.#alive()) break;
      Atomics.wait(page.words, Register.COMMAND_DONE, done, LIVENESS_INTERVAL_MS);
    }
    const why = this.#alive() ? `did not answer within ${COMMAND_TIMEOUT_MS} ms` : "has ended";
    throw new VirtioError("ERR_TRANSPORT", `the thread of device type ${this.deviceType} ${why}`);
  }
}
