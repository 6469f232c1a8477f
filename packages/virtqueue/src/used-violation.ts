/** What a device did wrong in the used ring (virtio 1.3 §2.7.8), put into words. */
import { type QueueViolation, violation } from "./violation.ts";

/** `shown`: how many chains the device has. */
export function usedIndexJump(from: number, to: number, shown: number): QueueViolation {
  const message = `used.idx went from ${from} to ${to}, but the device has ${shown} chains`;
  return violation("used-index-jump", "2.7.8", message);
}

/** `writable`: how many bytes of chain `id` may be written; `undefined` when the device does not have that chain. */
export function wrongUsedElement(
  index: number,
  id: number,
  length: number,
  size: number,
  writable: number | undefined,
): QueueViolation {
  const element = `used element ${index}`;
  if (id >= size) {
    return violation("used-id-out-of-range", "2.7.8", `${element} names descriptor ${id} of a table of ${size}`);
  }
  if (writable === undefined) {
    return violation("used-id-not-in-flight", "2.7.8", `${element} names chain ${id}, which the device does not have`);
  }
  // §2.7.8.2: "The device MUST write at least len bytes to descriptor": it can't have written more than there is room for.
  const message = `${element} says ${length} bytes were written to chain ${id}, of which ${writable} are writable`;
  return violation("used-length-too-long", "2.7.8.2", message);
}
