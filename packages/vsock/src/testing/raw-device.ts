/**
 * A vsock device without any rules: the test sees every packet that the driver sends, and puts any bytes it likes into the
 * driver's buffers. For tests of a driver against a peer that is odd, slow or hostile.
 */
import { type Device, type DeviceContext, DeviceType } from "@toril/virtio";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { EVENT_SIZE, writeEvent } from "../wire/event.ts";
import { HEADER_SIZE, PacketHeader, readHeaderBytes, writeHeaderBytes } from "../wire/header.ts";
import { QueueIndex, SocketType } from "../wire/ops.ts";

/** A packet as the driver sent it. */
export interface RawPacket extends Readonly<PacketHeader> {
  readonly payload: Uint8Array;
  readonly head: number;
  /** Descriptors of the chain. */
  readonly segments: number;
  /** The payload as it lies in guest memory now: good until the head is completed. */
  reread(): Uint8Array;
}

export class RawVsockDevice implements Device {
  readonly type: number = DeviceType.Vsock;
  readonly queueMaxSizes: readonly number[];
  offeredFeatures: bigint;
  /** Config space. */
  config: Uint8Array = Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0);
  #context: DeviceContext | undefined;

  constructor(options: { queueSize?: number; offeredFeatures?: bigint } = {}) {
    const size = options.queueSize ?? 64;
    this.queueMaxSizes = [size, size, 16];
    this.offeredFeatures = options.offeredFeatures ?? 1n;
  }

  readConfig(): Uint8Array {
    return this.config;
  }

  activate(context: DeviceContext): void {
    this.#context = context;
  }

  reset(): void {
    this.#context = undefined;
  }

  poll(): boolean {
    return false;
  }

  arm(): boolean {
    return false;
  }

  /** @throws Error when the driver has not brought the device up. */
  get context(): DeviceContext {
    if (this.#context === undefined) throw new Error("the device is not live");
    return this.#context;
  }

  /** What the driver has sent since the last call. The heads stay outstanding until `complete`, unless told. */
  take(completion: "complete" | "keep" = "complete"): RawPacket[] {
    const queue = this.#queue(QueueIndex.Tx);
    const packets: RawPacket[] = [];
    const chain = queue.createChain();
    while (queue.next(chain)) {
      const header = new PacketHeader();
      const bytes = new Uint8Array(HEADER_SIZE);
      chain.read(0, bytes);
      readHeaderBytes(bytes, 0, header);
      const payload = new Uint8Array(chain.readableBytes - HEADER_SIZE);
      chain.read(HEADER_SIZE, payload);
      packets.push({ ...header, payload, head: chain.head, segments: chain.count, reread: rereader(chain, queue) });
      if (completion === "complete") queue.complete(chain.head, 0);
    }
    this.#publish(QueueIndex.Tx);
    return packets;
  }

  /** Returns a head that was kept. */
  complete(head: number): void {
    this.#queue(QueueIndex.Tx).complete(head, 0);
    this.#publish(QueueIndex.Tx);
  }

  /** Sends a stream packet from 2:`srcPort`; fields not given are 0, `len` is the payload's, the window 64 KiB. */
  send(fields: Partial<PacketHeader>, payload: Uint8Array = new Uint8Array(0), usedLength?: number): boolean {
    const header = Object.assign(new PacketHeader(), {
      ...{ srcCid: 2, dstCid: 3, type: SocketType.Stream, len: payload.length, bufAlloc: 65_536 },
      ...fields,
    });
    const bytes = new Uint8Array(HEADER_SIZE + payload.length);
    writeHeaderBytes(bytes, 0, header);
    bytes.set(payload, HEADER_SIZE);
    return this.sendBytes(bytes, usedLength);
  }

  /** Puts any bytes into the next receive buffer. `false` when the driver has posted none. */
  sendBytes(bytes: Uint8Array, usedLength: number = bytes.length): boolean {
    return this.#fill(QueueIndex.Rx, bytes, usedLength);
  }

  /** Puts an event into the next event buffer. */
  sendEvent(id: number, usedLength: number = EVENT_SIZE): boolean {
    const bytes = new Uint8Array(EVENT_SIZE);
    writeEvent(bytes, id);
    return this.#fill(QueueIndex.Event, bytes, usedLength);
  }

  #fill(index: number, bytes: Uint8Array, usedLength: number): boolean {
    const queue = this.#queue(index);
    const chain: Chain = queue.createChain();
    if (!queue.next(chain)) return false;
    chain.write(0, bytes);
    queue.complete(chain.head, usedLength);
    this.#publish(index);
    return true;
  }

  #queue(index: number): DeviceQueue {
    const queue = this.context.queues[index];
    if (queue === undefined) throw new Error(`the driver has no queue ${index}`);
    return queue;
  }

  #publish(index: number): void {
    if (this.#queue(index).publish()) this.context.interrupt(index);
  }
}

function rereader(chain: Chain, { memory }: DeviceQueue): () => Uint8Array {
  const places = Array.from({ length: chain.readableCount }, (_, i) => ({
    address: chain.address(i),
    length: chain.length(i),
  }));
  return () => {
    const parts = places.map(({ address, length }) => memory.bytes(address, length));
    return Uint8Array.from(parts.flatMap((part) => [...part])).subarray(HEADER_SIZE);
  };
}
