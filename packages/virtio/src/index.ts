export type { Device, DeviceContext } from "./device.ts";
export { DeviceType } from "./device-type.ts";
export type { InterruptHandler, MaybePromise, Transport } from "./transport.ts";
