/**
 * Requests on their way: slots, the request queues, replies in any order, and the one way in which a session ends badly.
 *
 * A request is made in three steps: take a slot (wait for one, first come first served), write the request into it, send
 * it. A full ring is waited out, too. Nothing here throws for what the device does: a reply that breaks the protocol
 * fails the session, which answers everything with EIO and resets the device, so that every buffer comes back.
 *
 * Results are numbers: a payload's length, or a negative errno.
 */
import type { InitializedDevice, InterruptFlags } from "@toril/virtio";
import { type Clock, Errno, errnoName, type Log, type Timer } from "@toril/virtio/platform";
import { opcodeName } from "../wire/index.ts";
import type { Cancellation } from "./cancellation.ts";
import { Flight, SlotWaiter } from "./flights.ts";
import { HiprioQueue, HiprioSlot } from "./hiprio.ts";
import { type RequestSlot, UniqueSource } from "./request-slot.ts";
import type { Counters } from "./stats.ts";

/** The request queues' first position in the InitializedDevice: the hiprio queue stands before them. */
const FIRST_REQUEST_POSITION = 1;
/** How long a reset may take before waiting calls end all the same, in milliseconds. Their buffers then stay lent. */
const RESET_LIMIT = 2000;

type Token = RequestSlot | HiprioSlot;

export interface RequestEngineOptions {
  readonly device: InitializedDevice<Token>;
  readonly interrupts: InterruptFlags;
  readonly slots: readonly RequestSlot[];
  readonly hiprioSlots: readonly HiprioSlot[];
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** The session is over: called once, before the waiting calls end. */
  readonly onFailure: (errno: number, reason: string) => void;
}

export class RequestEngine {
  readonly hiprio: HiprioQueue;
  readonly #device: InitializedDevice<Token>;
  readonly #interrupts: InterruptFlags;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counters: Counters;
  #answerTimeoutMs: number = Number.POSITIVE_INFINITY;
  readonly #onFailure: RequestEngineOptions["onFailure"];
  readonly #uniques = new UniqueSource();
  readonly #free: RequestSlot[];
  readonly #slotWaiters = new Set<SlotWaiter>();
  /** By slot: what is in flight or waits for ring entries. */
  readonly #flights = new Map<RequestSlot, Flight>();
  /** Requests that found the rings full, in the order they came. */
  readonly #unplaced = new Set<Flight>();
  /** Queues with chains that the device cannot see yet, by position. */
  readonly #dirty: boolean[];
  #flushScheduled = false;
  #armed = true;
  /** 0, or the negative errno that every call gets from now on. */
  #failed = 0;
  #failure: string | undefined;
  /** Runs while a request's time is watched. */
  #watch: Timer | undefined;
  #reset: Promise<void> | undefined;
  /** False when a reset did not end: the device may still write what is lent to it. */
  #buffersBack = true;

  constructor(options: RequestEngineOptions) {
    this.#device = options.device;
    this.#interrupts = options.interrupts;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#counters = options.counters;
    this.#onFailure = options.onFailure;
    this.#free = [...options.slots];
    this.#dirty = options.device.queues.map(() => false);
    this.hiprio = new HiprioQueue({
      device: options.device,
      slots: options.hiprioSlots,
      uniques: this.#uniques,
      counters: options.counters,
    });
  }

  /** 0, or the negative errno with which everything ends since the session failed or was closed. */
  get failed(): number {
    return this.#failed;
  }

  /** Whether buffers lent to requests that have ended are ours again; false only after a reset that did not end. */
  get buffersBack(): boolean {
    return this.#buffersBack;
  }

  /** Why the session failed. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get inFlight(): number {
    return this.#flights.size;
  }

  /** From the next request on: a request that is not answered in so many milliseconds fails the session with EIO. */
  limitAnswers(milliseconds: number): void {
    this.#answerTimeoutMs = milliseconds;
  }

  /** A slot; `undefined` when none is free or others wait; a negative errno when the session is over. */
  tryAcquire(): RequestSlot | number | undefined {
    if (this.#failed !== 0) return this.#failed;
    return this.#slotWaiters.size > 0 ? undefined : this.#free.pop();
  }

  /** A slot, as soon as one is free; a negative errno when the session is over or the call was cancelled. */
  acquire(cancel: Cancellation | undefined): Promise<RequestSlot | number> {
    this.#counters.ringFullWaits++;
    return new Promise((resolve) => {
      new SlotWaiter(this.#slotWaiters, cancel, resolve);
    });
  }

  /** The slot's reply has been read. */
  release(slot: RequestSlot): void {
    for (const waiter of this.#slotWaiters) {
      waiter.settle(slot);
      return;
    }
    this.#free.push(slot);
  }

  /**
   * Sends the request in a slot; it is visible to the device when the current run of microtasks has had its turn, so
   * that requests made together are published together.
   * @param minReply @param maxReply bounds of a good reply's payload in bytes
   * @returns the payload's length or a negative errno; then read the reply and `release` the slot
   */
  send(slot: RequestSlot, minReply: number, maxReply: number, cancel: Cancellation | undefined): Promise<number> {
    slot.minReply = minReply;
    slot.maxReply = maxReply;
    return new Promise((resolve) => {
      if (this.#failed !== 0 || cancel?.cancelled === true) {
        resolve(this.#failed !== 0 ? this.#failed : (cancel?.result ?? 0));
        return;
      }
      slot.seal(this.#uniques.take());
      slot.sentAt = this.#clock.now();
      this.#counters.requests++;
      this.#counters.byOpcode[slot.opcode] = (this.#counters.byOpcode[slot.opcode] ?? 0) + 1;
      const flight = new Flight(this.#onCancelled, slot, cancel, resolve);
      this.#flights.set(slot, flight);
      if (this.#unplaced.size > 0 || !this.#place(slot)) {
        this.#counters.ringFullWaits++;
        this.#unplaced.add(flight);
      }
      cancel?.join(flight);
      if (this.#watch === undefined) this.#watchFor(this.#answerTimeoutMs);
      this.scheduleFlush();
    });
  }

  #watchFor(milliseconds: number): void {
    if (milliseconds === Number.POSITIVE_INFINITY) return;
    this.#watch = this.#clock.after(milliseconds, () => {
      this.#watch = undefined;
      // A thread that was busy for so long may find the answer there.
      while (this.#failed === 0 && this.poll());
      // In the order in which they were sent.
      const [oldest] = this.#flights.keys();
      if (oldest === undefined || this.#failed !== 0) return;
      const left = oldest.sentAt + this.#answerTimeoutMs - this.#clock.now();
      if (left > 0) this.#watchFor(left);
      else void this.fail(Errno.EIO, `no answer to ${opcodeName(oldest.opcode)} in ${this.#answerTimeoutMs} ms`);
    });
  }

  /** Publishes what is new, forgets included, once the current run of microtasks has had its turn. */
  scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    void Promise.resolve().then(this.#flush);
  }

  /** A caller does not want a request's answer any more. */
  readonly #onCancelled = (flight: Flight): void => {
    if (this.#unplaced.delete(flight)) {
      this.#end(flight, flight.cancel?.result ?? -Errno.ECANCELED);
      return;
    }
    this.hiprio.interrupt(flight.slot.unique);
    this.scheduleFlush();
  };

  /** Takes replies, places what waited, sends forgets. Whether anything was done. */
  poll(): boolean {
    if (this.#failed !== 0) return false;
    if (this.#interrupts.takeConfigChanged()) void this.#checkStatus();
    let worked = false;
    for (let position = 0; position < this.#device.queues.length; position++) {
      if (this.#drain(position)) worked = true;
      if (this.#failed !== 0) return true;
    }
    if (worked && this.#armed) this.#suppress();
    if (this.#flush()) worked = true;
    return worked;
  }

  arm(): boolean {
    if (this.#failed !== 0) return false;
    this.#armed = true;
    let waiting = false;
    for (const queue of this.#device.queues) if (queue.armUsedNotifications()) waiting = true;
    return waiting;
  }

  /**
   * Ends the session: every call ends with `errno` once the device has been reset and every buffer is back, or when the
   * reset has taken too long.
   * @param errno positive
   */
  fail(errno: number, reason: string): Promise<void> {
    if (this.#reset !== undefined) return this.#reset;
    this.#failed = -errno;
    this.#failure = reason;
    this.#watch?.cancel();
    this.#onFailure(errno, reason);
    for (const waiter of [...this.#slotWaiters]) waiter.settle(this.#failed);
    this.#reset = this.#resetDevice();
    return this.#reset;
  }

  async #resetDevice(): Promise<void> {
    let timer: Timer | undefined;
    const limit = new Promise<"late">((resolve) => {
      timer = this.#clock.after(RESET_LIMIT, () => resolve("late"));
    });
    const done = this.#device.reset().then(
      () => "done" as const,
      (error: unknown) => {
        // The transport is gone, and with it the device: nobody is left to write into our buffers.
        this.#log.warn("the file device could not be reset", { reason: String(error) });
        return "done" as const;
      },
    );
    if ((await Promise.race([done, limit])) === "late") {
      this.#buffersBack = false;
      this.#log.error("the file device does not end its reset: what is lent to it stays lost", { ms: RESET_LIMIT });
    }
    timer?.cancel();
    this.#unplaced.clear();
    for (const flight of [...this.#flights.values()]) this.#end(flight, this.#failed);
  }

  async #checkStatus(): Promise<void> {
    try {
      if (await this.#device.needsReset()) await this.fail(Errno.EIO, "the device asks for a reset (§2.1.2)");
    } catch (error) {
      await this.fail(Errno.EIO, `the device's status cannot be read: ${String(error)}`);
    }
  }

  #drain(position: number): boolean {
    const queue = this.#device.queue(position);
    let worked = false;
    for (let token = queue.poll(); token !== undefined; token = queue.poll()) {
      worked = true;
      if (token instanceof HiprioSlot) this.hiprio.completed(token, queue.usedLength);
      else this.#replied(token, queue.usedLength);
      if (this.#failed !== 0) return true;
    }
    if (queue.violation !== undefined) {
      const { message, section } = queue.violation;
      void this.fail(Errno.EIO, `queue ${position}: ${message} (§${section})`);
    }
    return worked;
  }

  #replied(slot: RequestSlot, usedLength: number): void {
    const flight = this.#flights.get(slot);
    const result = slot.judge(usedLength);
    if (typeof result === "string" || flight === undefined) {
      void this.fail(Errno.EIO, `${opcodeName(slot.opcode)}: ${result}`);
      return;
    }
    this.#counters.replies++;
    if (result < 0) {
      this.#counters.errors++;
      this.#log.debug("fuse error", { request: opcodeName(slot.opcode), error: errnoName(-result) ?? -result });
    }
    this.hiprio.answered(slot.unique);
    this.#end(flight, result);
  }

  #end(flight: Flight, result: number): void {
    this.#flights.delete(flight.slot);
    flight.cancel?.leave(flight);
    flight.settle(result);
  }

  readonly #flush = (): boolean => {
    this.#flushScheduled = false;
    if (this.#failed !== 0) return false;
    let worked = false;
    for (const flight of this.#unplaced) {
      if (!this.#place(flight.slot)) break;
      this.#unplaced.delete(flight);
      worked = true;
    }
    for (let position = 0; position < this.#dirty.length; position++) {
      if (this.#dirty[position] !== true) continue;
      this.#dirty[position] = false;
      this.#device.publish(position);
    }
    return this.hiprio.flush() || worked;
  };

  /** Puts a request on the request queue with the fewest in flight; `false` when it has no room. */
  #place(slot: RequestSlot): boolean {
    let position = FIRST_REQUEST_POSITION;
    for (let i = position + 1; i < this.#device.queues.length; i++) {
      if (this.#device.queue(i).inFlight < this.#device.queue(position).inFlight) position = i;
    }
    const queue = this.#device.queue(position);
    if (!queue.beginChain(slot.segments)) return false;
    queue.addReadable(slot.inAddress, slot.inLength);
    if (slot.dataDirection === "readable") {
      for (let i = 0; i < slot.dataCount; i++) queue.addReadable(slot.dataAddress[i] ?? 0, slot.dataLength[i] ?? 0);
    }
    queue.addWritable(slot.outAddress, slot.outLength);
    if (slot.dataDirection === "writable") {
      for (let i = 0; i < slot.dataCount; i++) queue.addWritable(slot.dataAddress[i] ?? 0, slot.dataLength[i] ?? 0);
    }
    queue.endChain(slot);
    this.#dirty[position] = true;
    return true;
  }

  #suppress(): void {
    this.#armed = false;
    for (const queue of this.#device.queues) queue.suppressUsedNotifications();
  }
}
