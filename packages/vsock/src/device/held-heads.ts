/**
 * TX heads whose bytes handlers are still reading. Ring and packet memory are shared by all connections of the guest, so
 * there is a bound on what stalled handlers hold together: half the descriptors, and HELD_BYTES. The rest always moves.
 */
import type { GuestMemory } from "@toril/memory";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import type { MutableDeviceStats } from "./stats.ts";

/**
 * A driver that lends its packets (one-copy, zero-copy) has so much less memory for everyone else: a quarter of what ours
 * takes for packets. Found with 300 clients that had stopped reading: 78 heads held 4 MiB, and nobody could send.
 */
const HELD_BYTES = 1_048_576;

/** One head, and how many runs of it are out. Made once for each head, and used again. */
export class HeldHead {
  /** Those that it belongs to. */
  readonly heads: HeldHeads;
  readonly head: number;
  descriptors = 0;
  bytes = 0;
  runs = 0;

  constructor(heads: HeldHeads, head: number) {
    this.heads = heads;
    this.head = head;
  }
}

/** The heads of one activation of the device: after a reset they are nobody's. */
export class HeldHeads {
  readonly memory: GuestMemory;
  readonly #queue: DeviceQueue;
  readonly #limit: number;
  readonly #stats: MutableDeviceStats;
  readonly #completed: () => void;
  /** By number; a head is outstanding once at a time. */
  readonly #heads: (HeldHead | undefined)[];
  #descriptors = 0;
  #bytes = 0;
  #active = true;

  /** @param completed a head went back to the guest: publish it soon. */
  constructor(queue: DeviceQueue, stats: MutableDeviceStats, completed: () => void) {
    this.memory = queue.memory;
    this.#queue = queue;
    this.#limit = queue.size >>> 1;
    this.#heads = new Array<HeldHead | undefined>(queue.size).fill(undefined);
    this.#stats = stats;
    this.#completed = completed;
  }

  /** Whether one more chain may be held: it may be direct, then each of its segments takes a descriptor. */
  hasRoomFor(chain: Chain): boolean {
    return this.#descriptors + chain.count <= this.#limit && this.#bytes + chain.readableBytes <= HELD_BYTES;
  }

  hold(chain: Chain): HeldHead {
    const { head, count, readableBytes } = chain;
    let held = this.#heads[head];
    if (held === undefined) {
      held = new HeldHead(this, head);
      this.#heads[head] = held;
    }
    held.descriptors = count;
    held.bytes = readableBytes;
    held.runs = 0;
    this.#descriptors += count;
    this.#bytes += readableBytes;
    this.#stats.headsHeld++;
    return held;
  }

  giveBack(held: HeldHead): void {
    this.#stats.headsHeld--;
    if (!this.#active) return;
    this.#descriptors -= held.descriptors;
    this.#bytes -= held.bytes;
    this.#queue.complete(held.head, 0);
    this.#completed();
  }

  /** The device was reset: the queue must not be touched any more. */
  end(): void {
    this.#active = false;
  }
}
