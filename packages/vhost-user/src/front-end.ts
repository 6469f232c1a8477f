/**
 * A vhost-user front-end: the Transport to a device that lives in another process. Guest memory is a memfd that both
 * map; doorbells are eventfds; everything else is messages on a Unix socket.
 *
 * A first slice: one memory region, no config space messages (the caller gives the config space, as QEMU does for
 * virtio-fs), no dirty logging, no in-flight recovery.
 */
import { GuestMemory, guestAddress } from "@toril/memory";
import { DeviceStatus, type InterruptHandler, type Transport, VirtioError } from "@toril/virtio";
import type { QueueLayout } from "@toril/virtqueue";
import { Libc, type SharedMemory } from "./ffi.ts";
import * as message from "./message.ts";
import { ProtocolFeature, Request } from "./message.ts";

/** VHOST_USER_F_PROTOCOL_FEATURES: not a virtio feature, it stays between the two ends. */
const PROTOCOL_FEATURES_BIT = 1n << 30n;
const WANTED_PROTOCOL_FEATURES: bigint = (1n << BigInt(ProtocolFeature.MQ)) | (1n << BigInt(ProtocolFeature.REPLY_ACK));
/** Milliseconds for the back-end to answer one message. */
const REPLY_TIMEOUT = 5000;
/** What QEMU allows a vhost-user device; the protocol has no message that tells. */
const MAX_QUEUE_SIZE = 1024;

export interface VhostUserOptions {
  /** The back-end's Unix socket. */
  readonly path: string;
  readonly deviceType: number;
  /** Bytes of guest memory, a multiple of 4,096. */
  readonly memorySize: number;
  /** The device's config space, where the back-end does not serve it. */
  readonly config?: Uint8Array;
  /** Queues to use when the back-end does not tell how many it has. */
  readonly queueCount: number;
}

interface LiveQueue {
  readonly layout: QueueLayout;
  readonly kick: number;
  readonly call: number;
}

export class VhostUserTransport implements Transport {
  readonly deviceType: number;
  readonly memory: GuestMemory;
  readonly queueCount: number;
  readonly #libc: Libc;
  readonly #socket: number;
  readonly #shared: SharedMemory;
  readonly #config: Uint8Array;
  readonly #protocolFeatures: bigint;
  readonly #layouts: (QueueLayout | undefined)[];
  readonly #live: (LiveQueue | undefined)[] = [];
  #handler: InterruptHandler | undefined;
  #deviceFeatures = 0n;
  #driverFeatures = 0n;
  #status = 0;
  #open = true;

  /**
   * Connects and negotiates the protocol.
   * @throws FfiUnavailable where FFI does not work; LibcError when the back-end does not answer
   */
  constructor(options: VhostUserOptions) {
    const libc = new Libc();
    this.#libc = libc;
    this.deviceType = options.deviceType;
    this.#config = options.config ?? new Uint8Array(0);
    this.#socket = libc.connect(options.path, REPLY_TIMEOUT);
    this.#shared = libc.createSharedMemory("toril guest memory", options.memorySize);
    this.memory = GuestMemory.map([{ base: guestAddress(0), buffer: this.#shared.buffer }]);
    this.#send(Request.SetOwner);
    this.#deviceFeatures = this.#ask(Request.GetFeatures);
    let protocolFeatures = 0n;
    if ((this.#deviceFeatures & PROTOCOL_FEATURES_BIT) !== 0n) {
      protocolFeatures = this.#ask(Request.GetProtocolFeatures) & WANTED_PROTOCOL_FEATURES;
      this.#send(Request.SetProtocolFeatures, message.u64(protocolFeatures));
    }
    this.#protocolFeatures = protocolFeatures;
    this.queueCount = this.#hasProtocol(ProtocolFeature.MQ)
      ? Number(this.#ask(Request.GetQueueNum))
      : options.queueCount;
    this.#layouts = Array.from({ length: this.queueCount }, () => undefined);
  }

  maxQueueSize(queueIndex: number): number {
    return queueIndex < this.queueCount ? MAX_QUEUE_SIZE : 0;
  }

  /** Stops every queue: once GET_VRING_BASE is answered the back-end does not touch it any more. */
  reset(): void {
    this.#live.forEach((queue, index) => {
      if (queue === undefined) return;
      if (this.#protocolNegotiated) this.#send(Request.SetVringEnable, message.vringState(index, 0));
      this.#exchange(Request.GetVringBase, message.vringState(index, 0));
      this.#libc.close(queue.kick);
      this.#libc.close(queue.call);
    });
    this.#live.length = 0;
    this.#layouts.fill(undefined);
    this.#driverFeatures = 0n;
    this.#status = 0;
  }

  /** The status lives here: this slice does not speak VHOST_USER_PROTOCOL_F_STATUS. */
  readStatus(): number {
    return this.#status;
  }

  writeStatus(status: number): void {
    const added = status & ~this.#status;
    if (status === 0) {
      this.reset();
      return;
    }
    if ((added & DeviceStatus.FEATURES_OK) !== 0) {
      this.#set(
        Request.SetFeatures,
        message.u64(this.#driverFeatures | (this.#deviceFeatures & PROTOCOL_FEATURES_BIT)),
      );
    }
    if ((added & DeviceStatus.DRIVER_OK) !== 0) this.#goLive();
    this.#status = status;
  }

  readDeviceFeatures(): bigint {
    return this.#deviceFeatures & ~PROTOCOL_FEATURES_BIT;
  }

  writeDriverFeatures(features: bigint): void {
    this.#driverFeatures = features;
  }

  /** The config space given never changes. */
  readConfigGeneration(): number {
    return 0;
  }

  readConfig(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    bytes.set(this.#config.subarray(offset, offset + length));
    return bytes;
  }

  writeConfig(): void {
    // Nothing in a virtio-fs device's config space is writable.
  }

  enableQueue(queueIndex: number, layout: QueueLayout): void {
    if (queueIndex >= this.queueCount) throw new VirtioError("ERR_QUEUE", `the device has ${this.queueCount} queues`);
    this.#layouts[queueIndex] = layout;
  }

  notify(queueIndex: number): void {
    const queue = this.#live[queueIndex];
    if (queue !== undefined) this.#libc.ring(queue.kick);
  }

  onInterrupt(handler: InterruptHandler): void {
    this.#handler = handler;
  }

  /** Looks for interrupts; for a loop that polls. Whether there was one. */
  pollInterrupts(): boolean {
    let rung = false;
    this.#live.forEach((queue, index) => {
      if (queue === undefined || !this.#libc.drain(queue.call)) return;
      rung = true;
      this.#handler?.queueUsed(index);
    });
    return rung;
  }

  /** Resets the device and closes the connection. Guest memory goes with the process: views of it may be left. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      this.reset();
    } finally {
      this.#libc.close(this.#socket);
      this.#libc.close(this.#shared.fd);
    }
  }

  #goLive(): void {
    const { pointer, size, fd } = this.#shared;
    this.#set(Request.SetMemTable, message.memoryTable(0n, BigInt(size), pointer), [fd]);
    this.#layouts.forEach((layout, index) => {
      if (layout === undefined) return;
      const queue = { layout, kick: this.#libc.createEventfd(), call: this.#libc.createEventfd() };
      // Rings are named by addresses of this process, descriptors by guest-physical ones.
      const at = (address: number): bigint => pointer + BigInt(address);
      const rings = message.vringAddress(
        index,
        at(layout.descriptorTable),
        at(layout.usedRing),
        at(layout.availableRing),
      );
      this.#set(Request.SetVringNum, message.vringState(index, layout.size));
      this.#set(Request.SetVringBase, message.vringState(index, 0));
      this.#set(Request.SetVringAddr, rings);
      this.#set(Request.SetVringCall, message.u64(BigInt(index)), [queue.call]);
      this.#set(Request.SetVringKick, message.u64(BigInt(index)), [queue.kick]);
      if (this.#protocolNegotiated) this.#set(Request.SetVringEnable, message.vringState(index, 1));
      this.#live[index] = queue;
      // §3.1.1: chains may have been published before DRIVER_OK, without a notification.
      this.#libc.ring(queue.kick);
    });
  }

  get #protocolNegotiated(): boolean {
    return (this.#deviceFeatures & PROTOCOL_FEATURES_BIT) !== 0n;
  }

  #hasProtocol(bit: number): boolean {
    return (this.#protocolFeatures & (1n << BigInt(bit))) !== 0n;
  }

  /** A message without an answer. */
  #send(request: Request, payload: Uint8Array = NOTHING, fds: readonly number[] = []): void {
    this.#libc.send(this.#socket, message.encodeMessage(request, payload, "no-ack"), fds);
  }

  /** A message that the back-end acknowledges, when it can. @throws VirtioError when it refuses */
  #set(request: Request, payload: Uint8Array, fds: readonly number[] = []): void {
    if (!this.#hasProtocol(ProtocolFeature.REPLY_ACK)) {
      this.#send(request, payload, fds);
      return;
    }
    this.#libc.send(this.#socket, message.encodeMessage(request, payload, "ack"), fds);
    const result = message.readU64(this.#receive(request));
    if (result !== 0n) throw new VirtioError("ERR_TRANSPORT", `the back-end refused request ${request}: ${result}`);
  }

  #ask(request: Request): bigint {
    return message.readU64(this.#exchange(request, NOTHING));
  }

  #exchange(request: Request, payload: Uint8Array): Uint8Array {
    this.#send(request, payload);
    return this.#receive(request);
  }

  #receive(request: Request): Uint8Array {
    const size = message.decodeReplyHeader(this.#libc.receive(this.#socket, message.HEADER_SIZE), request);
    if (typeof size === "string") throw new VirtioError("ERR_TRANSPORT", `the back-end answered wrongly: ${size}`);
    if (size < 8) throw new VirtioError("ERR_TRANSPORT", `the back-end answered ${size} bytes: 8 were expected`);
    return this.#libc.receive(this.#socket, size);
  }
}

const NOTHING = new Uint8Array(0);
