/**
 * The virtio file system device (virtio 1.3 §5.11): takes chains from its queues, has the FuseServer serve them, and
 * returns them, at once or when the file system is ready.
 */
import { type Device, type DeviceContext, DeviceType } from "@toril/virtio";
import { type Log, silentLog, textCodec } from "@toril/virtio/platform";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { PENDING } from "./exchange.ts";
import type { FileSystem } from "./file-system.ts";
import { FuseServer, type FuseServerStats } from "./fuse-server.ts";

/** §5.11.4: bytes of the tag; a shorter one is padded with NULs. */
export const TAG_SIZE = 36;
/** §5.11.4: tag, num_request_queues. (notify_buf_size is there only with VIRTIO_FS_F_NOTIFICATION.) */
const CONFIG_SIZE: number = TAG_SIZE + 4;
/** §5.11.2: queue 0 takes FORGET and INTERRUPT, the request queues follow it. */
const HIPRIO_QUEUE = 0;
const MAX_REQUEST_QUEUES = 64;
/** Chains per queue: what QEMU allows a vhost-user device. */
const QUEUE_SIZE = 1024;
/** Requests that one `poll` takes from one queue, so that other queues and other devices get their turn. */
const BATCH = 64;
/** Requests that wait for the file system: beyond it the rings hold the guest back. */
const DEFAULT_MAX_IN_FLIGHT = 64;

export interface VirtioFsDeviceOptions {
  readonly fileSystem: FileSystem;
  /** The name by which the guest mounts it: 1 to 36 bytes of UTF-8, no NUL. */
  readonly tag: string;
  /** 1 unless told; at most 64. */
  readonly requestQueues?: number;
  /** Requests that may wait for the file system at a time; 64 unless told. */
  readonly maxInFlight?: number;
  readonly log?: Log;
}

export interface VirtioFsDeviceStats extends FuseServerStats {
  /** Polls that found the limit of requests in flight reached. */
  readonly inFlightStalls: number;
}

/** One chain in the device's hands, and what to do when it is served. Reused. */
interface Slot {
  readonly chain: Chain;
  readonly queueIndex: number;
  readonly whenDone: (written: number) => void;
  written: number;
}

/** What an activation works with; a slot of an earlier one is told by its identity. */
interface Activation {
  readonly context: DeviceContext;
  /** Free slots of each queue. */
  readonly free: Slot[][];
  /** Served later than `serve`, and to be returned by the next poll. */
  readonly settled: Slot[];
  /** Which queues have completions that are not published. */
  readonly dirty: boolean[];
  inFlight: number;
}

export class VirtioFsDevice implements Device {
  readonly type: number = DeviceType.FileSystem;
  readonly offeredFeatures: bigint = 0n;
  readonly queueMaxSizes: readonly number[];
  readonly tag: string;
  readonly #config: Uint8Array = new Uint8Array(CONFIG_SIZE);
  readonly #server: FuseServer;
  readonly #maxInFlight: number;
  #active: Activation | undefined;
  #inFlightStalls = 0;

  /** @throws RangeError when an option is out of its range. */
  constructor(options: VirtioFsDeviceOptions) {
    const { fileSystem, tag, requestQueues = 1, maxInFlight = DEFAULT_MAX_IN_FLIGHT, log = silentLog } = options;
    const name = textCodec().encode(tag);
    if (name.length === 0 || name.length > TAG_SIZE || name.includes(0)) {
      throw new RangeError(`"${tag}" is not a file system tag: use 1 to ${TAG_SIZE} bytes of UTF-8 without NUL`);
    }
    if (!Number.isInteger(requestQueues) || requestQueues < 1 || requestQueues > MAX_REQUEST_QUEUES) {
      throw new RangeError(`${requestQueues} request queues: use 1 to ${MAX_REQUEST_QUEUES}`);
    }
    if (!Number.isInteger(maxInFlight) || maxInFlight < 1) {
      throw new RangeError(`${maxInFlight} requests in flight: use at least 1`);
    }
    this.tag = tag;
    this.queueMaxSizes = new Array<number>(1 + requestQueues).fill(QUEUE_SIZE);
    this.#config.set(name);
    this.#config[TAG_SIZE] = requestQueues;
    this.#server = new FuseServer({ fileSystem, log });
    this.#maxInFlight = maxInFlight;
  }

  get stats(): VirtioFsDeviceStats {
    return { ...this.#server.stats, inFlightStalls: this.#inFlightStalls };
  }

  /** §5.11.4: all of it is read-only for the driver. */
  readConfig(): Uint8Array {
    return this.#config.slice();
  }

  activate(context: DeviceContext): void {
    this.#active = {
      context,
      free: context.queues.map(() => []),
      settled: [],
      dirty: context.queues.map(() => false),
      inFlight: 0,
    };
  }

  reset(): void {
    this.#active = undefined;
    this.#server.reset();
  }

  poll(): boolean {
    const active = this.#active;
    if (active === undefined) return false;
    let worked = this.#returnSettled(active);
    const { queues } = active.context;
    for (let i = 0; i < queues.length; i++) {
      const queue = queues[i];
      if (queue !== undefined && this.#serveQueue(active, queue, i)) worked = true;
    }
    this.#publish(active);
    return worked;
  }

  arm(): boolean {
    const active = this.#active;
    if (active === undefined) return false;
    if (active.settled.length > 0) return true;
    const full = active.inFlight >= this.#maxInFlight;
    const { queues } = active.context;
    let waiting = false;
    for (let i = 0; i < queues.length; i++) {
      // What waits in a ring that is held back is no reason to poll: the next request that settles is.
      if (full && i !== HIPRIO_QUEUE) continue;
      if (queues[i]?.armAvailableNotifications() === true) waiting = true;
    }
    return waiting;
  }

  /** Whether there was anything. */
  #serveQueue(active: Activation, queue: DeviceQueue, queueIndex: number): boolean {
    const free = active.free[queueIndex];
    if (free === undefined) return false;
    let taken = 0;
    while (taken < BATCH) {
      if (queueIndex !== HIPRIO_QUEUE && active.inFlight >= this.#maxInFlight) {
        this.#inFlightStalls++;
        break;
      }
      const slot = free.pop() ?? this.#createSlot(active, queue, queueIndex);
      if (!queue.next(slot.chain)) {
        free.push(slot);
        break;
      }
      if (taken++ === 0) queue.suppressAvailableNotifications();
      const written = this.#server.serve(slot.chain, slot.whenDone);
      if (written === PENDING) active.inFlight++;
      else this.#returnSlot(active, queue, slot, written);
    }
    return taken > 0;
  }

  #createSlot(active: Activation, queue: DeviceQueue, queueIndex: number): Slot {
    const slot: Slot = {
      chain: queue.createChain(),
      queueIndex,
      written: 0,
      whenDone: (written) => {
        // After a reset the chain is the driver's again.
        if (this.#active !== active) return;
        slot.written = written;
        active.inFlight--;
        active.settled.push(slot);
        active.context.wake();
      },
    };
    return slot;
  }

  #returnSettled(active: Activation): boolean {
    const { settled } = active;
    if (settled.length === 0) return false;
    for (const slot of settled) {
      const queue = active.context.queues[slot.queueIndex];
      if (queue !== undefined) this.#returnSlot(active, queue, slot, slot.written);
    }
    settled.length = 0;
    return true;
  }

  #returnSlot(active: Activation, queue: DeviceQueue, slot: Slot, written: number): void {
    queue.complete(slot.chain.head, written);
    active.free[slot.queueIndex]?.push(slot);
    active.dirty[slot.queueIndex] = true;
  }

  #publish(active: Activation): void {
    const { dirty, context } = active;
    for (let i = 0; i < dirty.length; i++) {
      if (dirty[i] !== true) continue;
      dirty[i] = false;
      if (context.queues[i]?.publish() === true) context.interrupt(i);
    }
  }
}
