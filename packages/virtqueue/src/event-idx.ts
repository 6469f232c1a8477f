/** VIRTIO_F_EVENT_IDX: each side names the index at whose passing it wants to be notified (§2.7.7, §2.7.10). */
import { indexDistance } from "./ring-index.ts";

/**
 * Whether moving an index from `before` to `now` passed `event`: whether one of the entries before … now - 1 is entry
 * `event`. This is `vring_need_event` of §2.7.10; all values are mod 2^16.
 */
export function passesEvent(event: number, now: number, before: number): boolean {
  return indexDistance(event + 1, now) < indexDistance(before, now);
}
