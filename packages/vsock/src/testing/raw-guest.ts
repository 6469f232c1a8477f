/**
 * A vsock driver without any rules: the test sends any bytes, in chains of any shape, and sees every packet that the device
 * writes. For tests of a device against a guest that is odd, slow or hostile.
 */
import { addressAt, type DmaAllocator } from "@toril/memory";
import { DeviceType, type InitializedDevice, initializeDevice, type Transport } from "@toril/virtio";
import type { DriverQueue } from "@toril/virtqueue";
import { readEvent } from "../wire/event.ts";
import { HEADER_SIZE, PacketHeader, readHeaderBytes, writeHeaderBytes } from "../wire/header.ts";
import { QueueIndex, SocketType } from "../wire/ops.ts";

/** A packet as the device wrote it. */
export interface RawReceived extends Readonly<PacketHeader> {
  readonly payload: Uint8Array;
  /** Bytes that the device said it wrote, header included. */
  readonly used: number;
}

interface Posted {
  readonly kind: "buffer";
  readonly address: number;
  readonly length: number;
  readonly segments: readonly number[];
}

export class RawGuest {
  readonly device: InitializedDevice<Posted>;
  readonly #allocator: DmaAllocator;

  /** Brings the device up; it has no buffers yet: see `post`. */
  static async create(
    transport: Transport,
    allocator: DmaAllocator,
    options: { features?: bigint; queueSize?: number } = {},
  ): Promise<RawGuest> {
    const size = options.queueSize ?? 64;
    const device = await initializeDevice<Posted>(transport, {
      type: DeviceType.Vsock,
      features: { wanted: options.features ?? 1n },
      queues: [
        { index: QueueIndex.Rx, size },
        { index: QueueIndex.Tx, size },
        { index: QueueIndex.Event, size: 16 },
      ],
      allocator,
    });
    return new RawGuest(device, allocator);
  }

  private constructor(device: InitializedDevice<Posted>, allocator: DmaAllocator) {
    this.device = device;
    this.#allocator = allocator;
  }

  /** Gives the device a buffer to receive packets, or events, in a chain of segments of these lengths. */
  post(segments: readonly number[], queueIndex: number = QueueIndex.Rx): boolean {
    return this.#add(queueIndex, segments, undefined);
  }

  /**
   * Sends a stream packet from 3; fields not given are 0, `len` is the payload's, the window 64 KiB.
   * @param segments how header and payload are split; one segment unless told
   */
  send(fields: Partial<PacketHeader>, payload: Uint8Array = new Uint8Array(0), segments?: readonly number[]): boolean {
    const header = Object.assign(new PacketHeader(), {
      ...{ srcCid: 3, dstCid: 2, type: SocketType.Stream, len: payload.length, bufAlloc: 65_536 },
      ...fields,
    });
    const bytes = new Uint8Array(HEADER_SIZE + payload.length);
    writeHeaderBytes(bytes, 0, header);
    bytes.set(payload, HEADER_SIZE);
    return this.sendBytes(bytes, segments ?? [bytes.length]);
  }

  /** Sends any bytes. `false` when the ring is full. */
  sendBytes(bytes: Uint8Array, segments: readonly number[] = [bytes.length]): boolean {
    return this.#add(QueueIndex.Tx, segments, bytes);
  }

  /** How many chains the device has given back since the last call. */
  reclaim(): number {
    let count = 0;
    for (let token = this.#queue(QueueIndex.Tx).poll(); token !== undefined; count++) {
      token = this.#queue(QueueIndex.Tx).poll();
    }
    return count;
  }

  /** The packets that have come since the last call. Their buffers are not posted again. */
  receive(): RawReceived[] {
    return this.#received(QueueIndex.Rx).map((bytes) => {
      const header = new PacketHeader();
      readHeaderBytes(bytes, 0, header);
      return { ...header, payload: bytes.subarray(HEADER_SIZE), used: bytes.length };
    });
  }

  /** The ids of the events that have come. */
  events(): number[] {
    return this.#received(QueueIndex.Event).map(readEvent);
  }

  #received(queueIndex: number): Uint8Array[] {
    const queue = this.#queue(queueIndex);
    const received: Uint8Array[] = [];
    for (let token = queue.poll(); token !== undefined; token = queue.poll()) {
      const bytes = new Uint8Array(token.length);
      this.#allocator.memory.read(token.address as ReturnType<typeof addressAt>, bytes);
      received.push(bytes.subarray(0, queue.usedLength));
    }
    return received;
  }

  #queue(index: number): DriverQueue<Posted> {
    return this.device.queue(index);
  }

  #add(queueIndex: number, segments: readonly number[], bytes: Uint8Array | undefined): boolean {
    const queue = this.#queue(queueIndex);
    const length = segments.reduce((sum, one) => sum + one, 0);
    const buffer = this.#allocator.allocateDma(length);
    if (buffer === undefined) throw new Error("the test is out of guest memory");
    if (bytes !== undefined) buffer.writable.set(bytes);
    if (!queue.beginChain(segments.length)) return false;
    let offset = 0;
    for (const one of segments) {
      if (bytes === undefined) queue.addWritable(addressAt(buffer.address, offset), one);
      else queue.addReadable(addressAt(buffer.address, offset), one);
      offset += one;
    }
    queue.endChain({ kind: "buffer", address: buffer.address, length, segments });
    this.device.publish(queueIndex);
    return true;
  }
}
