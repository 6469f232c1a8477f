/**
 * What all virtio device types share. Reading order: transport.ts and device.ts (the two faces), device-status.ts and
 * status-machine.ts, features.ts, device-host.ts (the device's registers), initialize-device.ts (the driver's way up),
 * in-process-transport.ts (the shortest way between the two).
 */
export type { Device, DeviceContext } from "./device.ts";
export { DeviceHost, type DeviceHostOptions, type DeviceHostStats } from "./device-host.ts";
export { DeviceStatus, describeStatus } from "./device-status.ts";
export { DeviceType } from "./device-type.ts";
export type { DriverFault } from "./driver-fault.ts";
export { describeFeatures, Feature, featureBit, hasFeature, RING_FEATURES } from "./features.ts";
export { InProcessTransport } from "./in-process-transport.ts";
export {
  type InitializeOptions,
  initializeDevice,
  type QueueRequest,
} from "./initialize-device.ts";
export { InitializedDevice, type NotificationCount } from "./initialized-device.ts";
export { InterruptFlags } from "./interrupt-flags.ts";
export type { FeatureWishes } from "./negotiation.ts";
export { gatherBytes, type QueueTap, type TappedChain } from "./queue-tap.ts";
export { type StatusStep, statusStep } from "./status-machine.ts";
export type { InterruptHandler, MaybePromise, Transport } from "./transport.ts";
export { VirtioError, type VirtioErrorCode } from "./virtio-error.ts";
