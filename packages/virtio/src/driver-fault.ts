/** What a driver can do wrong outside the rings. A value, not an exception: the host ignores the write and counts it. */
export interface DriverFault {
  /** The section of virtio 1.3 that was broken, such as `2.1.1`. */
  readonly section: string;
  /** One sentence with the values, for a log. */
  readonly message: string;
}

export function driverFault(section: string, message: string): DriverFault {
  return { section, message };
}
