/**
 * TX heads whose bytes handlers are still reading. The ring is shared by all connections, so there is a bound on what
 * they hold together: half the descriptors. The other half always moves.
 */
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import type { MutableDeviceStats } from "./stats.ts";

/** One head, and how many runs of it are out. */
export class HeldHead {
  readonly head: number;
  readonly descriptors: number;
  /** When it was taken, in the clock's milliseconds. */
  readonly since: number;
  runs = 0;

  constructor(head: number, descriptors: number, since: number) {
    this.head = head;
    this.descriptors = descriptors;
    this.since = since;
  }
}

/** The heads of one activation of the device: after a reset they are nobody's. */
export class HeldHeads {
  readonly #queue: DeviceQueue;
  readonly #limit: number;
  readonly #stats: MutableDeviceStats;
  readonly #completed: () => void;
  #descriptors = 0;
  #active = true;

  /** @param completed a head went back to the guest: publish it soon. */
  constructor(queue: DeviceQueue, stats: MutableDeviceStats, completed: () => void) {
    this.#queue = queue;
    this.#limit = queue.size >>> 1;
    this.#stats = stats;
    this.#completed = completed;
  }

  /** Whether one more chain may be held: it may be direct, then each of its segments takes a descriptor. */
  hasRoomFor(chain: Chain): boolean {
    return this.#descriptors + chain.count <= this.#limit;
  }

  hold(chain: Chain, now: number): HeldHead {
    this.#descriptors += chain.count;
    this.#stats.headsHeld++;
    return new HeldHead(chain.head, chain.count, now);
  }

  giveBack(held: HeldHead): void {
    this.#stats.headsHeld--;
    if (!this.#active) return;
    this.#descriptors -= held.descriptors;
    this.#queue.complete(held.head, 0);
    this.#completed();
  }

  /** The device was reset: the queue must not be touched any more. */
  end(): void {
    this.#active = false;
  }
}
