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
  CONFIG_GENERATION: 19,
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
export const MAX_CONFIG_WRITE = 32;
const PAGE_BYTES = (Register.CONFIG + CONFIG_BYTES / 4) * 4;

/** What two threads share of a device. Post `buffer` to the other thread and make a page of it there. */
export class RegisterPage {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly config: Uint8Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(PAGE_BYTES)) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.config = new Uint8Array(buffer, Register.CONFIG * 4, CONFIG_BYTES);
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
}
