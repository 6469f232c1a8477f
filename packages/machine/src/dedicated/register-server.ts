/** The device's end of a register page: gives the driver's commands to the DeviceHost, and its answers back. */
import type { DeviceHost } from "@toril/virtio";
import type { Doorbell, Pollable } from "@toril/virtio/platform";
import {
  CONFIG_BYTES,
  CONFIG_INTERRUPT,
  MAX_CONFIG_WRITE,
  MAX_QUEUES,
  Operation,
  Register,
  type RegisterPage,
} from "./register-page.ts";

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

  /** Takes commands and notifications, then lets the device work. */
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
    switch (operation as Operation) {
      case Operation.RESET:
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
        const [offset, length] = [page.argument(0), page.argument(1)];
        const window = new Uint8Array(page.buffer, (Register.ARGUMENTS + 2) * 4, MAX_CONFIG_WRITE);
        const refused = host.writeConfig(offset, window.slice(0, length)) !== undefined;
        this.#publishConfig();
        return !refused;
      }
      default:
        return false;
    }
  }

  #enableQueue(): boolean {
    try {
      return this.#host.enableQueue(this.#page.argument(0), this.#page.readLayout()) === undefined;
    } catch {
      return false;
    }
  }

  /** Bytes first, generation last: a driver that sees one generation around its read has read one state (§2.5.1). */
  #publishConfig(): void {
    this.#page.config.set(this.#host.readConfig(0, CONFIG_BYTES));
    this.#page.store(Register.CONFIG_GENERATION, this.#host.configGeneration);
    this.#page.store(Register.STATUS, this.#host.status);
  }
}
