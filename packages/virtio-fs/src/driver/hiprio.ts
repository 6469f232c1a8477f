/**
 * The hiprio queue (virtio 1.3 §5.11.6.1): FORGET, BATCH_FORGET and INTERRUPT, which must not wait behind a full request
 * queue. Forgets have no reply; they are collected and go out together.
 */
import { addressAt, type GuestAddress, type GuestMemory } from "@toril/memory";
import type { InitializedDevice } from "@toril/virtio";
import { Errno } from "@toril/virtio/platform";
import {
  BATCH_FORGET_IN_SIZE,
  createInHeader,
  createOutHeader,
  FORGET_IN_SIZE,
  FORGET_ONE_SIZE,
  IN_HEADER_SIZE,
  INTERRUPT_IN_SIZE,
  type Opaque64,
  Opcode,
  OUT_HEADER_SIZE,
  opaqueKey,
  readOutHeader,
  setOpaque,
  writeBatchForgetIn,
  writeForgetIn,
  writeForgetOne,
  writeInHeader,
  writeInterruptIn,
} from "../wire/index.ts";
import type { RequestSlot, UniqueSource } from "./request-slot.ts";
import type { Counters } from "./stats.ts";

/** Place for one request: header, count and 61 nodes; the reply's header lies behind it. */
export const HIPRIO_SLOT_SIZE = 1040;
const OUT_AT: number = HIPRIO_SLOT_SIZE - OUT_HEADER_SIZE;
/** Nodes in one BATCH_FORGET. */
const MAX_BATCH: number = Math.floor((OUT_AT - IN_HEADER_SIZE - BATCH_FORGET_IN_SIZE) / FORGET_ONE_SIZE);
/** Requests under way at once; a device takes them quickly, and forgets can wait. */
export const HIPRIO_SLOTS = 8;
/** The queue's place among those of the InitializedDevice. */
const POSITION = 0;

export class HiprioSlot {
  readonly bytes: Uint8Array;
  readonly address: GuestAddress;
  /** Which request an INTERRUPT is about; 0 for a forget. */
  interrupts = 0;

  constructor(memory: GuestMemory, address: GuestAddress) {
    this.bytes = memory.bytes(address, HIPRIO_SLOT_SIZE);
    this.address = address;
  }
}

export interface HiprioOptions {
  readonly device: InitializedDevice<RequestSlot | HiprioSlot>;
  readonly slots: readonly HiprioSlot[];
  readonly uniques: UniqueSource;
  readonly counters: Counters;
}

export class HiprioQueue {
  readonly #device: HiprioOptions["device"];
  readonly #free: HiprioSlot[];
  readonly #uniques: UniqueSource;
  readonly #counters: Counters;
  /** Lookups to give back, by node; a node that is forgotten twice before the first went out is one item. */
  readonly #forgets = new Map<number | bigint, { readonly id: Readonly<Opaque64>; lookups: number }>();
  /** Requests to interrupt. */
  readonly #interrupts: number[] = [];
  readonly #header = createInHeader();
  readonly #reply = createOutHeader();
  readonly #unique: Opaque64 = { low: 0, high: 0 };
  #interruptsWork = true;
  #unpublished = false;

  constructor(options: HiprioOptions) {
    this.#device = options.device;
    this.#free = [...options.slots];
    this.#uniques = options.uniques;
    this.#counters = options.counters;
  }

  /** Whether `flush` has something to send. */
  get waiting(): boolean {
    return this.#forgets.size > 0 || this.#interrupts.length > 0;
  }

  /** Gives lookups back with the next `flush`. */
  forget(id: Readonly<Opaque64>, lookups: number): void {
    if (lookups === 0) return;
    const key = opaqueKey(id);
    const waiting = this.#forgets.get(key);
    if (waiting === undefined) this.#forgets.set(key, { id, lookups });
    else waiting.lookups += lookups;
  }

  /** Asks the device to cut a request short, unless it has said that it cannot. */
  interrupt(unique: number): void {
    if (this.#interruptsWork) this.#interrupts.push(unique);
  }

  /** The request is answered: an INTERRUPT that has not gone yet is not needed. */
  answered(unique: number): void {
    if (this.#interrupts.length === 0) return;
    const at = this.#interrupts.indexOf(unique);
    if (at !== -1) this.#interrupts.splice(at, 1);
  }

  /** Sends what waits, as far as there is room; the rest goes later. Whether anything was sent. */
  flush(): boolean {
    let sent = false;
    while (this.waiting) {
      const slot = this.#free.pop();
      if (slot === undefined) break;
      if (!this.#send(slot)) {
        this.#free.push(slot);
        break;
      }
      sent = true;
    }
    if (this.#unpublished) {
      this.#unpublished = false;
      this.#device.publish(POSITION);
    }
    return sent;
  }

  /** The device has used a chain of this queue. */
  completed(slot: HiprioSlot, usedLength: number): void {
    const { interrupts } = slot;
    slot.interrupts = 0;
    this.#free.push(slot);
    if (interrupts === 0 || usedLength < OUT_HEADER_SIZE) return;
    // The kernel's fuse.rst: EAGAIN, the request is not known (answered meanwhile, most often); ENOSYS, never again.
    readOutHeader(slot.bytes, OUT_AT, this.#reply);
    if (this.#reply.error === -Errno.ENOSYS) this.#interruptsWork = false;
  }

  #send(slot: HiprioSlot): boolean {
    const queue = this.#device.queue(POSITION);
    const interrupted = this.#interrupts[0];
    if (!queue.beginChain(interrupted === undefined ? 1 : 2)) return false;
    const length = interrupted === undefined ? this.#putForgets(slot) : this.#putInterrupt(slot, interrupted);
    queue.addReadable(slot.address, length);
    if (interrupted !== undefined) {
      queue.addWritable(addressAt(slot.address, OUT_AT), OUT_HEADER_SIZE);
      this.#interrupts.shift();
      this.#counters.interruptsSent++;
    }
    queue.endChain(slot);
    this.#unpublished = true;
    return true;
  }

  #putForgets(slot: HiprioSlot): number {
    const count = Math.min(this.#forgets.size, MAX_BATCH);
    let at = IN_HEADER_SIZE;
    if (count === 1) {
      for (const [key, { id, lookups }] of this.#forgets) {
        writeForgetIn(slot.bytes, at, lookups);
        this.#forgets.delete(key);
        this.#putHeader(slot, Opcode.Forget, id, FORGET_IN_SIZE);
      }
    } else {
      writeBatchForgetIn(slot.bytes, at, count);
      at += BATCH_FORGET_IN_SIZE;
      let left = count;
      for (const [key, { id, lookups }] of this.#forgets) {
        if (left-- === 0) break;
        writeForgetOne(slot.bytes, at, id, lookups);
        this.#forgets.delete(key);
        at += FORGET_ONE_SIZE;
      }
      this.#putHeader(slot, Opcode.BatchForget, NO_NODE, BATCH_FORGET_IN_SIZE + count * FORGET_ONE_SIZE);
    }
    this.#counters.forgetRequests++;
    this.#counters.nodesForgotten += count;
    return this.#header.length;
  }

  #putInterrupt(slot: HiprioSlot, request: number): number {
    slot.interrupts = request;
    setOpaque(this.#unique, request);
    writeInterruptIn(slot.bytes, IN_HEADER_SIZE, this.#unique);
    this.#putHeader(slot, Opcode.Interrupt, NO_NODE, INTERRUPT_IN_SIZE, request + 1);
    return this.#header.length;
  }

  #putHeader(slot: HiprioSlot, opcode: Opcode, node: Readonly<Opaque64>, size: number, unique?: number): void {
    this.#header.length = IN_HEADER_SIZE + size;
    this.#header.opcode = opcode;
    this.#header.node.low = node.low;
    this.#header.node.high = node.high;
    setOpaque(this.#header.unique, unique ?? this.#uniques.take());
    writeInHeader(slot.bytes, 0, this.#header);
    this.#counters.byOpcode[opcode] = (this.#counters.byOpcode[opcode] ?? 0) + 1;
  }
}

const NO_NODE: Readonly<Opaque64> = { low: 0, high: 0 };
