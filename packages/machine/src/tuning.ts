/** What a machine may have different from its defaults: for measurements, and for machines with little memory. */
import { ADAPTIVE_SPIN, NO_SPIN, type SpinLimits } from "@toril/kernel";
import type { VsockDriverOptions } from "@toril/vsock";
import type { VsockDeviceOptions } from "@toril/vsock/device";

/** Of the guest's vsock driver. */
export type VsockTuning = Partial<
  Pick<
    VsockDriverOptions,
    | "bufAlloc"
    | "creditUpdates"
    | "queueSize"
    | "rxBuffers"
    | "rxBufferSize"
    | "txMemory"
    | "txSegments"
    | "counterStart"
  >
>;

/**
 * What our own device is given: it takes chains of any shape, so the head of an answer and the pieces of its body share a
 * packet. What does not fit into the ring leaves in more system calls of the host: a thousand busy connections took 109 µs a
 * request with queues of 256, 78 with 512, 79 with 1,024. Daemons get the driver's defaults, which all of them take.
 */
export const OWN_DEVICE_TUNING: VsockTuning = { txSegments: 16, queueSize: 512 };

/** Of our own vsock device; a daemon's is as its maker wants it. */
export type VsockDeviceTuning = Partial<
  Pick<VsockDeviceOptions, "bufAlloc" | "creditUpdates" | "queueSize" | "txHeadsPerConnection" | "holdMs">
>;

/** What a core or device thread does when it finds no work. */
export type Idling =
  /** Looks on for a short while, as long as that pays, and then sleeps. */
  | "adaptive"
  /** Sleeps at once, as a core that halts. */
  | "sleep";

/** Plain data: it goes to threads. */
export interface MachineTuning {
  readonly driver?: VsockTuning;
  readonly device?: VsockDeviceTuning;
  readonly idling?: Idling;
}

export function spinOf({ idling = "adaptive" }: MachineTuning): SpinLimits {
  return idling === "sleep" ? NO_SPIN : ADAPTIVE_SPIN;
}
