/** What the device says through the event queue (virtio 1.3 §5.10.6.7): one le32. */
import { le32, putLe32 } from "./header.ts";

export const EVENT_SIZE = 4;

/** Communication was interrupted (a migration): connections are over, and the guest's CID may have changed. */
export const TRANSPORT_RESET = 0;

export function readEvent(bytes: Uint8Array): number {
  return le32(bytes, 0);
}

export function writeEvent(bytes: Uint8Array, id: number): void {
  putLe32(bytes, 0, id);
}
