/**
 * The registers of one device that lives in another thread, as words in a SharedArrayBuffer: what virtio-mmio (virtio
 * 1.3 §4.2.2) puts into an MMIO window. The page is the host's own memory, not the guest's: no guest address leads here.
 *
 * Set-up goes through a mailbox: the driver writes a command and waits for its number to come back. What runs per
 * buffer is two words: which queues were notified, and which interrupts are pending.
 */

import { type GuestAddress, guestAddress, highHalf, lowHalf } from "@toril/memory";
import type { QueueLayout } from "@toril/virtqueue";

/** Word indices. */
export const Register = {
  /** Number of the last command the driver gave; the device answers by copying it to COMMAND_DONE. */
  COMMAND: 0,
  COMMAND_DONE: 1,
  OPERATION: 2,
  /** 1 when the device did not take the command. */
  REFUSED: 3,
  ARGUMENTS: 4,
  DEVICE_TYPE: 16,
  QUEUE_COUNT: 17,
  STATUS: 18,
  /** Counts up before config space changes and after: odd while it does. Half of it is the generation (§2.5). */
  CONFIG_SEQUENCE: 19,
  /** A bit per queue with used buffers; CONFIG_INTERRUPT for the rest. The driver takes it by exchange. */
  INTERRUPTS: 20,
  /** A bit per queue that the driver notified. The device takes it by exchange. */
  NOTIFICATIONS: 21,
  FEATURES_LOW: 22,
  FEATURES_HIGH: 23,
  QUEUE_SIZES: 32,
  CONFIG: 64,
} as const;

export const Operation = {
  RESET: 1,
  WRITE_STATUS: 2,
  WRITE_FEATURES: 3,
  ENABLE_QUEUE: 4,
  WRITE_CONFIG: 5,
} as const;

export type Operation = (typeof Operation)[keyof typeof Operation];

/** As many as there are bits beside CONFIG_INTERRUPT, and words for their sizes. */
export const MAX_QUEUES = 31;
export const CONFIG_INTERRUPT: number = 1 << 31;
/** Bytes of config space that a page holds; the largest of our devices (virtio-fs) has 40. */
export const CONFIG_BYTES = 256;
/** Bytes of config space that one command writes. */
const MAX_CONFIG_WRITE = 32;
const PAGE_BYTES = (Register.CONFIG + CONFIG_BYTES / 4) * 4;
/** The bytes of WRITE_CONFIG come behind its offset and length. */
const CONFIG_ARGUMENT = Register.ARGUMENTS + 2;

/** What two threads share of a device. Post `buffer` to the other thread and make a page of it there. */
export class RegisterPage {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;

  /** @throws RangeError for a buffer that was made for something else */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(PAGE_BYTES)) {
    if (buffer.byteLength !== PAGE_BYTES) throw new RangeError(`${buffer.byteLength} bytes are no register page`);
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
  }

  load(register: number): number {
    return Atomics.load(this.words, register);
  }

  store(register: number, value: number): void {
    Atomics.store(this.words, register, value);
  }

  argument(index: number): number {
    return Atomics.load(this.words, Register.ARGUMENTS + index) >>> 0;
  }

  setArgument(index: number, value: number): void {
    Atomics.store(this.words, Register.ARGUMENTS + index, value | 0);
  }

  /** For the device: replaces config space in one go, as far as a driver can tell. */
  publishConfig(config: Uint8Array): void {
    const sequence = this.load(Register.CONFIG_SEQUENCE);
    this.store(Register.CONFIG_SEQUENCE, sequence | 1);
    this.#storeBytes(Register.CONFIG, config.subarray(0, CONFIG_BYTES));
    this.store(Register.CONFIG_SEQUENCE, ((sequence | 1) + 1) | 0);
  }

  /** §2.5.1: the same before and after a read of config space: nothing changed in between. */
  get configGeneration(): number {
    return this.load(Register.CONFIG_SEQUENCE) >>> 1;
  }

  /**
   * One state of config space, never a mixture of two; bytes past its end are 0.
   * @returns `undefined` while the device is changing it
   */
  readConfig(offset: number, length: number): Uint8Array | undefined {
    const before = this.load(Register.CONFIG_SEQUENCE);
    const all = this.#loadBytes(Register.CONFIG, CONFIG_BYTES);
    if ((before & 1) !== 0 || this.load(Register.CONFIG_SEQUENCE) !== before) return undefined;
    const bytes = new Uint8Array(length);
    if (offset < CONFIG_BYTES) bytes.set(all.subarray(offset, Math.min(offset + length, CONFIG_BYTES)));
    return bytes;
  }

  /** @throws RangeError when that is more than a command carries */
  writeConfigArguments(offset: number, bytes: Uint8Array): void {
    if (bytes.length > MAX_CONFIG_WRITE) {
      throw new RangeError(`${bytes.length} config bytes in one write: at most ${MAX_CONFIG_WRITE}`);
    }
    this.setArgument(0, offset);
    this.setArgument(1, bytes.length);
    this.#storeBytes(CONFIG_ARGUMENT, bytes);
  }

  /** `undefined`: the driver wrote a length that no command has. */
  readConfigArguments(): { readonly offset: number; readonly bytes: Uint8Array } | undefined {
    const length = this.argument(1);
    if (length > MAX_CONFIG_WRITE) return undefined;
    return { offset: this.argument(0), bytes: this.#loadBytes(CONFIG_ARGUMENT, length) };
  }

  /** Arguments 1 to 7: size, then low and high half of the three areas. */
  writeLayout(layout: QueueLayout): void {
    this.setArgument(1, layout.size);
    [layout.descriptorTable, layout.availableRing, layout.usedRing].forEach((address, i) => {
      this.setArgument(2 + 2 * i, lowHalf(address));
      this.setArgument(3 + 2 * i, highHalf(address));
    });
  }

  /** @throws RangeError when an address is none; the caller treats it as a refused command. */
  readLayout(): QueueLayout {
    const address = (at: number): GuestAddress =>
      guestAddress(this.argument(at + 1) * 0x1_0000_0000 + this.argument(at));
    return { size: this.argument(1), descriptorTable: address(2), availableRing: address(4), usedRing: address(6) };
  }
  /** Bytes in words, the first in the lowest bits: whole words, so that atomics reach them. */
  #storeBytes(register: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 4) {
      const word = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
      this.store(register + at / 4, word | ((bytes[at + 3] ?? 0) << 24));
    }
  }

  #loadBytes(register: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at++) bytes[at] = this.load(register + (at >> 2)) >>> (8 * (at & 3));
    return bytes;
  }
}
