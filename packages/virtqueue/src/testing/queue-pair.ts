/** A driver's and a device's queue over the same fresh memory: the smallest thing with which either can be tried. */
import { type DmaAllocator, DmaBuffer, type GuestAddress, GuestMemory, guestAddress } from "@toril/memory";
import { SplitDeviceQueue } from "../device-queue.ts";
import { SplitDriverQueue } from "../driver-queue.ts";
import { indirectTableBytes } from "../indirect-tables.ts";
import type { Chain } from "../queue.ts";
import { layoutAt, type QueueLayout, queueBytes } from "../queue-layout.ts";

export interface QueuePairOptions {
  /** 8 unless told. */
  readonly size?: number;
  /** VIRTIO_F_EVENT_IDX; not negotiated unless told. */
  readonly eventIdx?: boolean;
  /** VIRTIO_F_INDIRECT_DESC is negotiated when given: chains of 2 … this many segments take a table. */
  readonly indirectSegments?: number;
  /** The memory to use: fresh, unshared, with 1 MiB for buffers, unless told. Its first region holds the queue. */
  readonly memory?: GuestMemory;
}

export interface QueuePair<Token> {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
  readonly driver: SplitDriverQueue<Token>;
  readonly device: SplitDeviceQueue;
  /** A chain object of the device. */
  readonly chain: Chain;
  /** Where memory is free: from here to the end of the first region. */
  readonly buffers: GuestAddress;
}

const FRESH_BUFFER_BYTES = 1 << 20;

export function createQueuePair<Token = number>(options: QueuePairOptions = {}): QueuePair<Token> {
  const { size = 8, eventIdx = false, indirectSegments } = options;
  const tableBytes = indirectSegments === undefined ? 0 : indirectTableBytes(size, indirectSegments);
  const memory =
    options.memory ?? GuestMemory.allocate({ size: FRESH_BUFFER_BYTES + queueBytes(size) + tableBytes + 4096 });
  const base = memory.regions[0]?.base ?? guestAddress(0);
  const allocator = createBumpAllocator(memory, base);
  const layout = layoutAt(mustAllocate(allocator, queueBytes(size)).address, size);
  const tables = indirectSegments === undefined ? undefined : mustAllocate(allocator, tableBytes);
  const indirect =
    tables === undefined || indirectSegments === undefined
      ? {}
      : { indirect: { tables, maxSegments: indirectSegments } };
  const driver = new SplitDriverQueue<Token>({ memory, layout, eventIdx, ...indirect });
  const device = new SplitDeviceQueue({ memory, layout, eventIdx, indirect: tables !== undefined });
  const buffers = mustAllocate(allocator, 16).address;
  return { memory, layout, driver, device, chain: device.createChain(), buffers };
}

/** An allocator that goes through the region of `from` once and takes nothing back. */
export function createBumpAllocator(memory: GuestMemory, from: GuestAddress): DmaAllocator {
  let next: number = from;
  return {
    memory,
    allocateDma(length: number, alignment = 16): DmaBuffer | undefined {
      const address = Math.ceil(next / alignment) * alignment;
      if (!memory.contains(address, length)) return undefined;
      next = address + length;
      return new DmaBuffer(memory, guestAddress(address), length, () => undefined);
    },
  };
}

function mustAllocate(allocator: DmaAllocator, length: number): DmaBuffer {
  const buffer = allocator.allocateDma(length);
  if (buffer === undefined) throw new RangeError(`no room for ${length} bytes in the memory of a queue pair`);
  return buffer;
}
