/** The place of a device in a guest, for whoever keeps a device there (vhost-user/keepers.ts). */
import type { Transport } from "@toril/virtio";

export interface Seat {
  /** Why the driver has given its device up; `undefined` while it works with it. */
  readonly failure: string | undefined;
  /**
   * Takes another device in. What the old driver had of the heap is back before `connect` is called.
   * @param connect brings the device
   * @throws Error when the guest shuts down, or its devices stay as they are; whatever `connect` throws; VirtioError and
   * SystemError of the new device. Then there is none until the next attempt.
   */
  replace(connect: () => Promise<Transport>): Promise<void>;
}
