/** The device status field (virtio 1.3 §2.1): one byte, written by the driver, but for DEVICE_NEEDS_RESET. */

/** Bit values, not bit numbers. */
export const DeviceStatus = {
  /** The guest has noticed the device. */
  ACKNOWLEDGE: 1,
  /** The guest knows how to drive it. */
  DRIVER: 2,
  /** The driver is set up: the device is live. */
  DRIVER_OK: 4,
  /** Feature negotiation is complete. The device decides whether this bit sticks. */
  FEATURES_OK: 8,
  /** Set by the device: it met an error that it cannot recover from. */
  DEVICE_NEEDS_RESET: 64,
  /** The guest has given up on the device. */
  FAILED: 128,
} as const;

/** The bits that a driver may write. */
export const DRIVER_STATUS_BITS: number =
  DeviceStatus.ACKNOWLEDGE |
  DeviceStatus.DRIVER |
  DeviceStatus.DRIVER_OK |
  DeviceStatus.FEATURES_OK |
  DeviceStatus.FAILED;

/** A status in words, such as `ACKNOWLEDGE|DRIVER`; `reset` for 0. For logs and error messages. */
export function describeStatus(status: number): string {
  const names: string[] = [];
  let rest = status;
  for (const [name, bit] of Object.entries(DeviceStatus)) {
    if ((status & bit) !== 0) names.push(name);
    rest &= ~bit;
  }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.length === 0 ? "reset" : names.join("|");
}
