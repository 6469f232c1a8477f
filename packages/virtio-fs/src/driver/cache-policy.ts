/**
 * For how long the driver believes what a device said. The device names a validity with each entry and each set of
 * attributes; the mode says what is made of it. The names are virtiofsd's.
 */
import type { Validity } from "../wire/index.ts";

/**
 * - `none`: nothing is believed beyond the call that asked.
 * - `auto`: what the device says is believed for as long as the device says; cached file data for as long as the
 *   attributes do not show a change.
 * - `always`: everything is believed for ever; for directories that nobody else changes.
 */
export type CacheMode = "none" | "auto" | "always";

/** A time on the driver's clock at which a belief ends. */
export const NEVER_VALID: number = Number.NEGATIVE_INFINITY;
export const VALID_FOR_EVER: number = Number.POSITIVE_INFINITY;

/**
 * When a belief ends, in milliseconds of the driver's clock. It is counted from when the question was *sent*: the
 * device's answer cannot be older than that, so no change is seen later than the validity allows.
 */
export function validUntil(mode: CacheMode, sentAt: number, validity: Readonly<Validity>): number {
  switch (mode) {
    case "none":
      return NEVER_VALID;
    case "always":
      return VALID_FOR_EVER;
    case "auto":
      // fuse_entry_out: nanoseconds are a fraction. A device that sends more than a second there gets its wish as told.
      if (validity.seconds < 0) return VALID_FOR_EVER; // above 2^53 seconds
      return sentAt + validity.seconds * 1000 + validity.nanoseconds / 1e6;
    default:
      return mode satisfies never;
  }
}
