/**
 * Where the core-to-core bus lies in guest memory. Each ordered pair of cores has two channels: `control` for the
 * kernel's own messages (threads on other cores), `data` for the programs'; so a program that does not receive holds up
 * no spawn. A channel is a split virtqueue, driven by the sender, and one buffer ("slot") per descriptor.
 */
import { addressAt, alignUp, type GuestAddress, type GuestMemory } from "@toril/memory";
import { isQueueSize, layoutAt, type QueueLayout, queueBytes } from "@toril/virtqueue";

export interface ChannelShape {
  /** Messages that can be under way: a power of two. */
  readonly slots: number;
  /** Bytes of a slot: the longest message, and a header of 4 bytes. A multiple of 64. */
  readonly slotBytes: number;
}

export interface BusShape {
  readonly cores: number;
  readonly control: ChannelShape;
  readonly data: ChannelShape;
}

/** Both lie in shared memory from an address on; the same values on every core. */
export interface BusPlace {
  readonly shape: BusShape;
  readonly base: GuestAddress;
}

/** The message's kind comes before its bytes. */
export const HEADER_BYTES = 4;
/** 4 KiB messages, 16 under way: what a page holds; 68 KiB per ordered pair. Control messages carry a thread's arguments. */
export const DEFAULT_DATA: ChannelShape = { slots: 16, slotBytes: 4_096 };
export const DEFAULT_CONTROL: ChannelShape = { slots: 8, slotBytes: 4_096 };

const LINE = 64;

export type ChannelName = "control" | "data";

export interface ChannelPlace {
  readonly layout: QueueLayout;
  readonly slots: GuestAddress;
}

/**
 * The shape of a bus.
 * @throws RangeError when a number makes no sense.
 */
export function busShape(
  cores: number,
  data: ChannelShape = DEFAULT_DATA,
  control: ChannelShape = DEFAULT_CONTROL,
): BusShape {
  if (!Number.isInteger(cores) || cores < 1) throw new RangeError(`a bus of ${cores} cores cannot be made`);
  for (const { slots, slotBytes } of [data, control]) {
    if (!isQueueSize(slots)) throw new RangeError(`a bus channel of ${slots} slots: use a power of two`);
    if (!Number.isInteger(slotBytes) || slotBytes < LINE || slotBytes % LINE !== 0) {
      throw new RangeError(`bus slots of ${slotBytes} bytes: use a multiple of ${LINE}`);
    }
  }
  // What the kernel truncates its own messages to fits into that.
  if (control.slotBytes < DEFAULT_CONTROL.slotBytes) {
    throw new RangeError(`control slots of ${control.slotBytes} bytes: use ${DEFAULT_CONTROL.slotBytes} or more`);
  }
  return { cores, control, data };
}

/** Bytes of guest memory that a bus needs, from an address that is a multiple of 64. */
export function busBytes(shape: BusShape): number {
  return shape.cores * (shape.cores - 1) * pairBytes(shape);
}

/** Zeroes the bus: before any core uses it. */
export function clearBus(memory: GuestMemory, { shape, base }: BusPlace): void {
  memory.fill(base, busBytes(shape), 0);
}

/** Where the channel from one core to another lies. */
export function channelPlace({ shape, base }: BusPlace, from: number, to: number, name: ChannelName): ChannelPlace {
  // Row `from` has a place for every other core.
  const pair = from * (shape.cores - 1) + (to < from ? to : to - 1);
  const start = alignUp(addressAt(base, pair * pairBytes(shape)), LINE);
  const channel = name === "control" ? start : addressAt(start, channelBytes(shape.control));
  const { slots } = shape[name];
  return { layout: layoutAt(channel, slots), slots: addressAt(channel, ringBytes(slots)) };
}

const ringBytes = (slots: number): number => Math.ceil(queueBytes(slots) / LINE) * LINE;
const channelBytes = ({ slots, slotBytes }: ChannelShape): number => ringBytes(slots) + slots * slotBytes;
const pairBytes = (shape: BusShape): number => channelBytes(shape.control) + channelBytes(shape.data);
