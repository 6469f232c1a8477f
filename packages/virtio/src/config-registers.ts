/** Config space as the host shows it (virtio 1.3 §2.5): byte access, and the generation that tells of changes. */
import type { Device } from "./device.ts";
import { DeviceStatus } from "./device-status.ts";
import { type DriverFault, driverFault } from "./driver-fault.ts";

/** The most config bytes that one access moves; config spaces are tens of bytes. */
const MAX_CONFIG_ACCESS = 4_096;

export class ConfigRegisters {
  readonly #device: Device;
  #generation = 0;
  #seen: Uint8Array;

  constructor(device: Device) {
    this.#device = device;
    this.#seen = device.readConfig().slice();
  }

  /** §2.5.2: differs when a driver may have seen two states. A device need not announce a change to be found out. */
  get generation(): number {
    this.#look();
    return this.#generation;
  }

  /** A change was announced. */
  changed(): void {
    this.#generation = (this.#generation + 1) >>> 0;
    this.#seen = this.#device.readConfig().slice();
  }

  read(offset: number, length: number): Uint8Array {
    const bounded = Number.isInteger(length) && length > 0 ? Math.min(length, MAX_CONFIG_ACCESS) : 0;
    const bytes = new Uint8Array(bounded);
    this.#look();
    if (Number.isInteger(offset) && offset >= 0) bytes.set(this.#seen.slice(offset, offset + bounded));
    return bytes;
  }

  write(offset: number, bytes: Uint8Array, status: number): DriverFault | undefined {
    const end = offset + bytes.length;
    // §2.5.1: a driver writes config space only after FEATURES_OK, since fields depend on the features.
    if ((status & DeviceStatus.FEATURES_OK) === 0) return driverFault("3.1.1", "config written before FEATURES_OK");
    if (!Number.isInteger(offset) || offset < 0 || end > this.#seen.length) {
      return driverFault("2.5", `config written at ${offset} to ${end}: it has ${this.#seen.length} bytes`);
    }
    if (this.#device.writeConfig === undefined)
      return driverFault("2.5", `config written at ${offset}: it is read-only`);
    // A private copy: the driver's bytes may lie in memory that it still changes.
    this.#device.writeConfig(offset, bytes.slice());
    return undefined;
  }

  #look(): void {
    const now = this.#device.readConfig();
    if (now.length === this.#seen.length && now.every((byte, i) => byte === this.#seen[i])) return;
    this.#generation = (this.#generation + 1) >>> 0;
    this.#seen = now.slice();
  }
}
