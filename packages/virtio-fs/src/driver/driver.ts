/** A virtio-fs driver with a live session: polls, counts, hands out file calls, and ends in order or not. */
import type { DmaBuffer } from "@toril/memory";
import type { InitializedDevice } from "@toril/virtio";
import { type AbortSignalLike, type Clock, Errno, errnoName, type Log, type Pollable } from "@toril/virtio/platform";
import type { FileCalls } from "../file-calls.ts";
import { ThreadFileCalls } from "./calls.ts";
import { Cancellation } from "./cancellation.ts";
import type { Client } from "./client.ts";
import type { DriverInterrupts } from "./driver-interrupts.ts";
import type { HiprioSlot } from "./hiprio.ts";
import type { RequestSlot } from "./request-slot.ts";
import type { RequestEngine } from "./requests.ts";
import type { Session } from "./session.ts";
import type { Counters, FileDriverStats } from "./stats.ts";

export interface FileDriver extends Pollable {
  /** The device's tag (§5.11.4): under this name a guest mounts it. */
  readonly tag: string;
  readonly session: Session;
  readonly stats: FileDriverStats;
  /** Set when the device broke the rules, died, or asked for a reset: every call ends with EIO. */
  readonly failure: string | undefined;
  /** The calls of one thread; all of its waits end when `signal` aborts. */
  callsFor(options?: { readonly signal?: AbortSignalLike }): FileCalls;
  /** The device is known to be gone (its thread died): every call ends with EIO, in bounded time. */
  deviceLost(reason: string): Promise<void>;
  /**
   * Ends the session (DESTROY), resets the device, frees all guest memory but what callers have pinned. Calls under way
   * end with ENOTCONN. The transport stays its owner's to close.
   */
  close(): Promise<void>;
}

export interface DriverParts {
  readonly tag: string;
  readonly session: Session;
  readonly device: InitializedDevice<RequestSlot | HiprioSlot>;
  readonly engine: RequestEngine;
  readonly client: Client;
  readonly counters: Counters;
  readonly interrupts: DriverInterrupts;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds for the device to answer DESTROY. */
  readonly sessionTimeoutMs: number;
  /** Lent to the device for as long as it lives. */
  readonly memory: readonly DmaBuffer[];
}

export class VirtioFileDriver implements FileDriver {
  readonly tag: string;
  readonly session: Session;
  readonly #parts: DriverParts;
  #failure: string | undefined;
  #closing: Promise<void> | undefined;

  constructor(parts: DriverParts) {
    this.tag = parts.tag;
    this.session = parts.session;
    this.#parts = parts;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  get stats(): FileDriverStats {
    const { counters, device, engine, client } = this.#parts;
    counters.notificationsSent = device.notificationsSent;
    counters.notificationsSuppressed = device.notificationsSuppressed;
    counters.inFlight = engine.inFlight;
    counters.nodes = client.tree.nodes.size;
    counters.names = client.tree.names.size;
    return counters;
  }

  callsFor(options: { readonly signal?: AbortSignalLike } = {}): FileCalls {
    return new ThreadFileCalls(this.#parts.client, options.signal);
  }

  poll(): boolean {
    const { engine, client } = this.#parts;
    const worked = engine.poll();
    // Others share the allocator: what was not there may be there now.
    return client.buffers.waiting > 0 && client.buffers.retry() ? true : worked;
  }

  arm(): boolean {
    return this.#parts.engine.arm();
  }

  deviceLost(reason: string): Promise<void> {
    return this.#parts.engine.fail(Errno.EIO, reason);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The engine tells that the session is over; calls that wait for a reply end when the device has been reset. */
  onFailure(errno: number, reason: string): void {
    const { log, client } = this.#parts;
    if (errno !== Errno.ENOTCONN) {
      this.#failure = reason;
      log.error("the virtio-fs session failed", { tag: this.tag, errno: errnoName(errno) ?? errno, reason });
    }
    client.buffers.close(-errno);
    // Nothing is believed of a device that is gone: not even an open file's size.
    client.tree.forgetAll();
    client.cache.clear();
  }

  async #close(): Promise<void> {
    const { engine, client, interrupts, clock, sessionTimeoutMs, memory } = this.#parts;
    if (engine.failed === 0) {
      const cancel = new Cancellation({ clock, signals: [], timeoutMs: sessionTimeoutMs });
      // A device that does not answer is reset all the same.
      const ended = Promise.race([client.operations.destroy(cancel), cancel.whenCancelled()]);
      await interrupts.drive(this, clock, ended);
      cancel.end();
    }
    await engine.fail(Errno.ENOTCONN, "the driver was closed");
    if (!engine.buffersBack) return;
    for (const buffer of memory) {
      if (buffer.state === "freed") continue;
      buffer.giveBack();
      buffer.free();
    }
  }
}
