/**
 * The driver's end of a register page: a Transport to a device in another thread. Set-up commands block this thread
 * until the device's thread has answered, for a bounded time: they run at boot and at reset only.
 */
import type { GuestMemory } from "@toril/memory";
import { DeviceStatus, type InterruptHandler, type Transport, VirtioError } from "@toril/virtio";
import type { Doorbell, Pollable } from "@toril/virtio/platform";
import type { QueueLayout } from "@toril/virtqueue";
import { CONFIG_INTERRUPT, MAX_QUEUES, Operation, Register, type RegisterPage } from "./register-page.ts";

/** A device's thread answers within microseconds; one that is this late is stuck. */
const COMMAND_TIMEOUT_MS = 5_000;
/** How often a waiting driver looks whether the device's thread is still there. */
const LIVENESS_INTERVAL_MS = 50;
/** Looks at config space while the device is changing it: a change takes a microsecond. */
const MAX_CONFIG_READS = 1_000_000;

export interface RegisterTransportOptions {
  readonly memory: GuestMemory;
  readonly page: RegisterPage;
  /** Wakes the device's thread. */
  readonly deviceBell: Doorbell;
  /** Whether the device's thread is still running. Once it says no, nothing touches guest memory for the device. */
  readonly deviceAlive: () => boolean;
  /** How long a command may take; 5 s unless told. */
  readonly commandTimeoutMs?: number;
}

export class RegisterTransport implements Transport, Pollable {
  readonly deviceType: number;
  readonly memory: GuestMemory;
  readonly queueCount: number;
  readonly #page: RegisterPage;
  readonly #bell: Doorbell;
  readonly #alive: () => boolean;
  readonly #timeoutMs: number;
  #handler: InterruptHandler | undefined;
  #deathTold = false;

  constructor({ memory, page, deviceBell, deviceAlive, commandTimeoutMs }: RegisterTransportOptions) {
    this.memory = memory;
    this.#page = page;
    this.#bell = deviceBell;
    this.#alive = deviceAlive;
    this.#timeoutMs = commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
    this.deviceType = page.load(Register.DEVICE_TYPE);
    // No word of the page is believed beyond what a page can hold.
    this.queueCount = Math.min(Math.max(page.load(Register.QUEUE_COUNT), 0), MAX_QUEUES);
  }

  maxQueueSize(queueIndex: number): number {
    return this.#hasQueue(queueIndex) ? this.#page.load(Register.QUEUE_SIZES + queueIndex) : 0;
  }

  /**
   * A device whose thread has ended is as good as reset: it keeps nothing and touches nothing.
   * @throws VirtioError ERR_TRANSPORT when it does not answer: what was lent to it must stay lent
   */
  reset(): void {
    if (this.#alive()) this.#command(Operation.RESET);
    else this.#page.store(Register.STATUS, 0);
  }

  readStatus(): number {
    return this.#page.load(Register.STATUS);
  }

  writeStatus(status: number): void {
    this.#command(Operation.WRITE_STATUS, () => this.#page.setArgument(0, status));
  }

  readDeviceFeatures(): bigint {
    const low = BigInt(this.#page.load(Register.FEATURES_LOW) >>> 0);
    return low | (BigInt(this.#page.load(Register.FEATURES_HIGH) >>> 0) << 32n);
  }

  writeDriverFeatures(features: bigint): void {
    this.#command(Operation.WRITE_FEATURES, () => {
      this.#page.setArgument(0, Number(features & 0xffff_ffffn));
      this.#page.setArgument(1, Number((features >> 32n) & 0xffff_ffffn));
    });
  }

  readConfigGeneration(): number {
    return this.#page.configGeneration;
  }

  /**
   * @throws RangeError for an offset or a length that is none; VirtioError ERR_TRANSPORT when the device never ends a
   * change of config space
   */
  readConfig(offset: number, length: number): Uint8Array {
    if (!(Number.isInteger(offset) && offset >= 0)) throw new RangeError(`config offset ${offset}`);
    for (let attempt = 0; attempt < MAX_CONFIG_READS; attempt++) {
      const bytes = this.#page.readConfig(offset, length);
      if (bytes !== undefined) return bytes;
    }
    throw new VirtioError("ERR_TRANSPORT", `device type ${this.deviceType} was stopped while it changed config space`);
  }

  /** @throws RangeError when more is written than a command carries. */
  writeConfig(offset: number, bytes: Uint8Array): void {
    this.#command(Operation.WRITE_CONFIG, () => this.#page.writeConfigArguments(offset, bytes));
  }

  /** @throws VirtioError ERR_QUEUE when the device does not take the queue. */
  enableQueue(queueIndex: number, layout: QueueLayout): void {
    const answer = this.#command(Operation.ENABLE_QUEUE, () => {
      this.#page.setArgument(0, queueIndex);
      this.#page.writeLayout(layout);
    });
    if (answer === "taken") return;
    throw new VirtioError("ERR_QUEUE", `the device does not take queue ${queueIndex} of ${layout.size} entries`);
  }

  notify(queueIndex: number): void {
    if (!this.#hasQueue(queueIndex)) return;
    Atomics.or(this.#page.words, Register.NOTIFICATIONS, 1 << queueIndex);
    this.#bell.ring();
  }

  onInterrupt(handler: InterruptHandler): void {
    this.#handler = handler;
  }

  close(): void {
    this.#handler = undefined;
    this.reset();
  }

  /** Passes pending interrupts on; a device whose thread has died shows as one that needs a reset. */
  poll(): boolean {
    if (this.#page.load(Register.INTERRUPTS) === 0) return this.#noticeDeath();
    const bits = Atomics.exchange(this.#page.words, Register.INTERRUPTS, 0);
    for (let i = 0; i < this.queueCount; i++) if ((bits & (1 << i)) !== 0) this.#handler?.queueUsed(i);
    if ((bits & CONFIG_INTERRUPT) !== 0) this.#handler?.configChanged();
    return true;
  }

  arm(): boolean {
    return this.#page.load(Register.INTERRUPTS) !== 0 || (!this.#deathTold && !this.#alive());
  }

  #hasQueue(queueIndex: number): boolean {
    return Number.isInteger(queueIndex) && queueIndex >= 0 && queueIndex < this.queueCount;
  }

  #noticeDeath(): boolean {
    if (this.#deathTold || this.#alive()) return false;
    this.#deathTold = true;
    // §2.1.2, in the dead device's name: drivers know what to do with that.
    Atomics.or(this.#page.words, Register.STATUS, DeviceStatus.DEVICE_NEEDS_RESET);
    this.#handler?.configChanged();
    return true;
  }

  /** @throws VirtioError ERR_TRANSPORT when the device's thread is dead or does not answer. */
  #command(operation: Operation, writeArguments: () => void = () => {}): "taken" | "refused" {
    const page = this.#page;
    const last = page.load(Register.COMMAND);
    // One that was given up still belongs to the device: it may read these words at any time.
    if (page.load(Register.COMMAND_DONE) !== last) throw this.#unanswered("has not answered an earlier command yet");
    const number = (last + 1) | 0;
    writeArguments();
    page.store(Register.OPERATION, operation);
    page.store(Register.COMMAND, number);
    this.#bell.ring();
    const deadline = performance.now() + this.#timeoutMs;
    for (;;) {
      const done = page.load(Register.COMMAND_DONE);
      if (done === number) return page.load(Register.REFUSED) === 0 ? "taken" : "refused";
      if (!this.#alive()) throw this.#unanswered("has ended");
      const left = deadline - performance.now();
      if (left <= 0) throw this.#unanswered(`did not answer within ${this.#timeoutMs} ms`);
      Atomics.wait(page.words, Register.COMMAND_DONE, done, Math.min(left, LIVENESS_INTERVAL_MS));
    }
  }

  #unanswered(what: string): VirtioError {
    return new VirtioError("ERR_TRANSPORT", `the thread of device type ${this.deviceType} ${what}`);
  }
}
