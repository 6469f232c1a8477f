/** Why a device could not be set up, or used. */
export type VirtioErrorCode =
  /** Another type of device than the driver is for. */
  | "ERR_DEVICE_TYPE"
  /** The device does not offer what the driver needs. */
  | "ERR_FEATURE_MISSING"
  /** The device did not accept the features that the driver accepted. */
  | "ERR_FEATURES_REFUSED"
  /** The device has no such queue, or refused where it lies. */
  | "ERR_QUEUE"
  /** No guest memory is left for the rings. */
  | "ERR_NO_MEMORY"
  /** The device asks for a reset (§2.1.2), or left the protocol. */
  | "ERR_DEVICE_BROKEN"
  /** The transport has been closed, or its device has another driver. */
  | "ERR_TRANSPORT";

/** Setting up a device failed; `message` says with which values, and what to do where that is known. */
export class VirtioError extends Error {
  override readonly name = "VirtioError";
  readonly code: VirtioErrorCode;
  constructor(code: VirtioErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
