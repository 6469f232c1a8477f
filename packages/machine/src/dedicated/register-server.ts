/** The device's end of a register page: gives the driver's commands to the DeviceHost, and its answers back. */
import type { DeviceHost } from "@toril/virtio";
import type { Doorbell, Pollable } from "@toril/virtio/platform";
import type { QueueLayout } from "@toril/virtqueue";
import { CONFIG_BYTES, CONFIG_INTERRUPT, MAX_QUEUES, Operation, Register, type RegisterPage } from "./register-page.ts";

export class RegisterServer implements Pollable {
  readonly #host: DeviceHost;
  readonly #page: RegisterPage;

  /**
   * @param driverBell wakes the core that the device is dedicated to
   * @throws RangeError when the device has more queues or config space than a page holds
   */
  constructor(host: DeviceHost, page: RegisterPage, driverBell: Doorbell) {
    if (host.queueCount > MAX_QUEUES) {
      throw new RangeError(`a device with ${host.queueCount} queues does not fit: at most ${MAX_QUEUES}`);
    }
    const config = host.device.readConfig().length;
    if (config > CONFIG_BYTES) {
      throw new RangeError(`${config} bytes of config space do not fit: at most ${CONFIG_BYTES}`);
    }
    this.#host = host;
    this.#page = page;
    page.store(Register.DEVICE_TYPE, host.device.type);
    page.store(Register.QUEUE_COUNT, host.queueCount);
    for (let i = 0; i < host.queueCount; i++) page.store(Register.QUEUE_SIZES + i, host.maxQueueSize(i));
    page.store(Register.FEATURES_LOW, Number(host.offeredFeatures & 0xffff_ffffn) | 0);
    page.store(Register.FEATURES_HIGH, Number(host.offeredFeatures >> 32n) | 0);
    this.#publishConfig();
    const raise = (bits: number): void => {
      // Bits are set before the bell: a driver that wakes finds them.
      Atomics.or(page.words, Register.INTERRUPTS, bits);
      driverBell.ring();
    };
    host.onInterrupt({
      queueUsed: (queueIndex) => raise(1 << queueIndex),
      configChanged: () => {
        this.#publishConfig();
        raise(CONFIG_INTERRUPT);
      },
    });
  }

  /** Takes a command and notifications, then lets the device work. */
  poll(): boolean {
    const page = this.#page;
    let worked = false;
    const command = page.load(Register.COMMAND);
    if (command !== page.load(Register.COMMAND_DONE)) {
      page.store(Register.REFUSED, this.#execute() ? 0 : 1);
      page.store(Register.STATUS, this.#host.status);
      page.store(Register.COMMAND_DONE, command);
      Atomics.notify(page.words, Register.COMMAND_DONE);
      worked = true;
    }
    if (page.load(Register.NOTIFICATIONS) !== 0) {
      const queues = Atomics.exchange(page.words, Register.NOTIFICATIONS, 0);
      for (let i = 0; i < MAX_QUEUES; i++) if ((queues & (1 << i)) !== 0) this.#host.notify(i);
      worked = true;
    }
    return this.#host.poll() || worked;
  }

  arm(): boolean {
    const page = this.#page;
    const armed = this.#host.arm();
    return (
      armed ||
      page.load(Register.COMMAND) !== page.load(Register.COMMAND_DONE) ||
      page.load(Register.NOTIFICATIONS) !== 0
    );
  }

  /** Whether the device took it. */
  #execute(): boolean {
    const page = this.#page;
    const host = this.#host;
    const operation = page.load(Register.OPERATION);
    switch (operation) {
      case Operation.RESET:
        // The driver waits for the answer, so whatever is pending here is from before (§2.4.1).
        page.store(Register.NOTIFICATIONS, 0);
        host.reset();
        page.store(Register.INTERRUPTS, 0);
        return true;
      case Operation.WRITE_STATUS:
        return host.writeStatus(page.argument(0)) === undefined;
      case Operation.WRITE_FEATURES: {
        const features = BigInt(page.argument(0)) | (BigInt(page.argument(1)) << 32n);
        return host.writeDriverFeatures(features) === undefined;
      }
      case Operation.ENABLE_QUEUE:
        return this.#enableQueue();
      case Operation.WRITE_CONFIG: {
        const written = page.readConfigArguments();
        const fault = written && host.writeConfig(written.offset, written.bytes);
        this.#publishConfig();
        return written !== undefined && fault === undefined;
      }
      default:
        return false;
    }
  }

  #enableQueue(): boolean {
    const page = this.#page;
    let layout: QueueLayout;
    try {
      layout = page.readLayout();
    } catch {
      // Words that are no address at all.
      return false;
    }
    return this.#host.enableQueue(page.argument(0), layout) === undefined;
  }

  #publishConfig(): void {
    this.#page.publishConfig(this.#host.readConfig(0, CONFIG_BYTES));
    this.#page.store(Register.STATUS, this.#host.status);
  }
}
