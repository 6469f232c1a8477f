/**
 * What a write to the status field means (virtio 1.3 §2.1, §3.1.1), as a pure function of the status and what is
 * written. The device host carries out the step; nothing else changes the status but the device's own need of a reset.
 */
import { DeviceStatus, DRIVER_STATUS_BITS, describeStatus } from "./device-status.ts";
import { type DriverFault, driverFault } from "./driver-fault.ts";

export type StatusStep =
  /** §2.4: 0 was written. */
  | { readonly kind: "reset" }
  /** Bits were added that need nothing done. */
  | { readonly kind: "note"; readonly status: number }
  /** §2.2.2: FEATURES_OK is asked for. `status` holds if the features are acceptable. */
  | { readonly kind: "check-features"; readonly status: number }
  /** §3.1.1 step 8: the driver is ready. */
  | { readonly kind: "go-live"; readonly status: number }
  /** The driver gave up: the device must leave its queues alone. */
  | { readonly kind: "give-up"; readonly status: number }
  /** Not allowed here: nothing changes. */
  | { readonly kind: "fault"; readonly fault: DriverFault };

const { ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET, FAILED } = DeviceStatus;

/** @param current the status before; @param written what the driver wrote (any number: it is a peer's). */
export function statusStep(current: number, written: number): StatusStep {
  if (written === 0) return { kind: "reset" };
  const fault = (section: string, reason: string): StatusStep => {
    const change = `${describeStatus(current)} to ${describeStatus(written)}`;
    return { kind: "fault", fault: driverFault(section, `status written from ${change}: ${reason}`) };
  };
  const isByte = Number.isInteger(written) && written >= 0 && written <= 0xff;
  if (!isByte || (written & ~(DRIVER_STATUS_BITS | DEVICE_NEEDS_RESET)) !== 0) {
    return fault("2.1", "it has bits that the specification does not define");
  }
  // DEVICE_NEEDS_RESET is the device's: a driver that writes back what it has read changes nothing.
  const kept = current & DEVICE_NEEDS_RESET;
  const asked = written & DRIVER_STATUS_BITS;
  const before = current & DRIVER_STATUS_BITS;
  // §2.1.1: "The driver MUST NOT clear a device status bit."
  if ((before & ~asked) !== 0) return fault("2.1.1", "only a reset clears bits");
  const added = asked & ~before;
  if (added === 0) return { kind: "note", status: current };
  // §2.1.1: after FAILED "the driver MUST later reset the device before attempting to re-initialize".
  if ((before & FAILED) !== 0) return fault("2.1.1", "the driver has given up; it must reset the device first");
  const status = asked | kept;
  if ((added & FAILED) !== 0) return { kind: "give-up", status: before | FAILED | kept };
  // §3.1.1: "The driver MUST follow this sequence to initialize a device".
  if ((asked & DRIVER) !== 0 && (asked & ACKNOWLEDGE) === 0) return fault("3.1.1", "DRIVER comes after ACKNOWLEDGE");
  if ((asked & FEATURES_OK) !== 0 && (asked & DRIVER) === 0) return fault("3.1.1", "FEATURES_OK comes after DRIVER");
  if ((added & DRIVER_OK) !== 0) {
    if ((before & FEATURES_OK) === 0) return fault("3.1.1", "DRIVER_OK comes after FEATURES_OK was accepted");
    return { kind: "go-live", status };
  }
  return (added & FEATURES_OK) !== 0 ? { kind: "check-features", status } : { kind: "note", status };
}
