/** Feature negotiation (virtio 1.3 §2.2), both sides of it, as pure functions. */
import type { Device } from "./device.ts";
import { type DriverFault, driverFault } from "./driver-fault.ts";
import { describeFeatures, Feature, featureBit, hasFeature, RING_FEATURES } from "./features.ts";
import { VirtioError } from "./virtio-error.ts";

/** What a driver wants of a device. */
export interface FeatureWishes {
  /** Without these the driver cannot work. VERSION_1 is always required. */
  readonly required?: bigint;
  /** Taken when they are offered. */
  readonly wanted?: bigint;
  /** Ring features not to take although this package could use them (INDIRECT_DESC, EVENT_IDX). */
  readonly declined?: bigint;
}

/** §2.2: bits 24 to 49 belong to queues and feature negotiation, not to device types. */
const HOST_FEATURES = ((1n << 26n) - 1n) << 24n;

/**
 * What a host offers for a device.
 * @throws RangeError when the device offers bits that are the host's, or `ringFeatures` has some that do not exist here.
 */
export function featuresToOffer(device: Device, ringFeatures: bigint): bigint {
  const unknown = ringFeatures & ~RING_FEATURES;
  if (unknown !== 0n) throw new RangeError(`ring features ${describeFeatures(unknown)} are not implemented`);
  const foreign = device.offeredFeatures & HOST_FEATURES;
  if (foreign !== 0n) {
    throw new RangeError(
      `device type ${device.type} offers ${describeFeatures(foreign)}: bits 24 to 49 are the host's`,
    );
  }
  return device.offeredFeatures | ringFeatures | featureBit(Feature.VERSION_1);
}

/**
 * What a driver accepts (§2.2.1): what it requires, and what it wants as far as it is offered.
 * @throws VirtioError ERR_FEATURE_MISSING
 */
export function featuresToAccept(offered: bigint, wishes: FeatureWishes): bigint {
  const required = (wishes.required ?? 0n) | featureBit(Feature.VERSION_1);
  const missing = required & ~offered;
  if (missing !== 0n) {
    const message = `the device does not offer ${describeFeatures(missing)}; it offers ${describeFeatures(offered)}`;
    throw new VirtioError("ERR_FEATURE_MISSING", message);
  }
  const wanted = ((wishes.wanted ?? 0n) | RING_FEATURES) & ~(wishes.declined ?? 0n);
  return required | (wanted & offered);
}

/** Why FEATURES_OK must not stick (§2.2.2); `undefined` when it may. */
export function negotiationFault(device: Device, offered: bigint, accepted: bigint): DriverFault | undefined {
  const refuse = (section: string, reason: string): DriverFault =>
    driverFault(section, `features ${describeFeatures(accepted)} refused: ${reason}`);
  const surplus = accepted & ~offered;
  // §2.2.1: "The driver MUST NOT accept a feature which the device did not offer".
  if (surplus !== 0n) return refuse("2.2.1", `${describeFeatures(surplus)} not offered`);
  // §6.1: "A driver MUST accept VIRTIO_F_VERSION_1 if it is offered."
  if (!hasFeature(accepted, Feature.VERSION_1)) return refuse("6.1", "VERSION_1 not accepted");
  const reason = device.refuseFeatures?.(accepted);
  return reason === undefined ? undefined : refuse("2.2.2", reason);
}
