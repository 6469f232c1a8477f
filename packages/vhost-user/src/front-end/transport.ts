/**
 * The Transport to a device in another process: what virtio calls status, features, config space and queues, said in
 * vhost-user messages. Guest memory is a memfd that both map, doorbells are eventfds.
 *
 * When the back-end goes away, or breaks the protocol, the device needs a reset (virtio 1.3 §2.1.2): the driver hears of
 * it as of any broken device, its reset succeeds at once, and every buffer comes back. `reconnect` brings a new back-end.
 */
import type { GuestMemory } from "@toril/memory";
import { DeviceStatus, Feature, featureBit, type InterruptHandler, type Transport, VirtioError } from "@toril/virtio";
import { type Log, type Pollable, silentLog } from "@toril/virtio/platform";
import { layoutProblem, type QueueLayout } from "@toril/virtqueue";
import { ProtocolFeature, Request } from "../protocol/message.ts";
import { readBackendConfig, writeBackendConfig } from "./config-access.ts";
import { Connection } from "./connection.ts";
import { checkOptions, DEFAULT_TIMEOUT_MS, type FrontEndOptions, MAX_QUEUE_SIZE, shapeOf } from "./options.ts";

/** `lost`: the back-end is gone, `reconnect` may bring one. `closed`: for good. */
type Link =
  | { readonly kind: "connected"; readonly connection: Connection }
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "closed" };

const { DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET, FAILED } = DeviceStatus;
/** Polls between two looks at the descriptors: each look is a system call or two per queue. */
const POLLS_PER_LOOK = 64;

export class VhostUserTransport implements Transport, Pollable {
  readonly deviceType: number;
  readonly memory: GuestMemory;
  readonly #options: FrontEndOptions;
  readonly #log: Log;
  readonly #layouts = new Map<number, QueueLayout>();
  #socketPath: string;
  #link: Link = { kind: "lost", reason: "not connected yet" };
  #handler: InterruptHandler | undefined;
  #deviceFeatures = 0n;
  #driverFeatures = 0n;
  #queueCount = 0;
  #status = 0;
  #configGeneration = 0;
  #polls = 0;
  #keepsAlive: "yes" | "no" = "yes";

  private constructor(options: FrontEndOptions) {
    this.#options = options;
    this.#socketPath = options.socketPath;
    this.#log = options.log ?? silentLog;
    this.deviceType = options.deviceType;
    this.memory = options.memory.guest;
  }

  /** Made by `connectFrontEnd`. */
  static async connect(options: FrontEndOptions): Promise<VhostUserTransport> {
    checkOptions(options);
    const transport = new VhostUserTransport(options);
    await transport.reconnect();
    return transport;
  }

  get queueCount(): number {
    return this.#queueCount;
  }

  /** Why there is no back-end; `undefined` while there is one. */
  get lost(): string | undefined {
    return this.#link.kind === "lost" ? this.#link.reason : undefined;
  }

  /** Bits that the back-end and we agreed on, of those in `ProtocolFeature`; 0 without a back-end. */
  get protocolFeatures(): bigint {
    return this.#link.kind === "connected" ? (this.#link.connection.negotiated.protocol ?? 0n) : 0n;
  }

  /**
   * Connects again after the back-end was lost. The device is as new: close its old driver, then make another.
   * @param options where the back-end is now, if it is not where it was
   * @throws VirtioError ERR_TRANSPORT when nobody answers, or when there is a back-end already
   */
  async reconnect(options: { readonly socketPath?: string } = {}): Promise<void> {
    if (this.#link.kind === "connected") throw this.#error("there is a back-end: it has not been lost");
    if (this.#link.kind === "closed") throw this.#error("the transport is closed");
    this.#socketPath = options.socketPath ?? this.#socketPath;
    const socketPath = this.#socketPath;
    const { memory, timeoutMs = DEFAULT_TIMEOUT_MS, interrupts = "event-loop" } = this.#options;
    const connection = await Connection.open({
      ...{ socketPath, memory, timeoutMs, interrupts },
      config: this.#options.config === undefined ? "the back-end's" : "ours",
      events: {
        used: (queueIndex) => this.#handler?.queueUsed(queueIndex),
        failed: (queueIndex) => this.#needsReset(`the back-end reports an error of queue ${queueIndex}`),
        configChanged: () => {
          this.#configGeneration = (this.#configGeneration + 1) >>> 0;
          this.#handler?.configChanged();
        },
        lost: (reason) => this.#lost(reason),
      },
    });
    if (this.#link.kind !== "lost") {
      // `close`, or another reconnect, was faster.
      connection.close();
      throw this.#error("the transport is closed, or connected already");
    }
    this.#link = { kind: "connected", connection };
    if (this.#keepsAlive === "no") connection.unref();
    this.#deviceFeatures = connection.negotiated.deviceFeatures;
    this.#queueCount = connection.negotiated.queueCount ?? shapeOf(this.#options).queueCount;
    this.#configGeneration = (this.#configGeneration + 1) >>> 0;
    // The status stays: a driver that has not heard yet that its device was lost still finds DEVICE_NEEDS_RESET.
  }

  /** Lets go of a back-end that does not do what it must: the device is lost, and `reconnect` may bring another. */
  disconnect(reason: string): void {
    if (this.#link.kind !== "connected") return;
    this.#link.connection.close();
    this.#lost(reason);
  }

  maxQueueSize(queueIndex: number): number {
    if (!(queueIndex >= 0 && queueIndex < this.#queueCount)) return 0;
    const { maxQueueSizes = MAX_QUEUE_SIZE } = this.#options;
    return typeof maxQueueSizes === "number" ? maxQueueSizes : (maxQueueSizes[queueIndex] ?? 0);
  }

  /** Never fails: a back-end that does not stop its queues in time is let go of, and is not ours any more. */
  async reset(): Promise<void> {
    const link = this.#link;
    this.#forget();
    if (link.kind !== "connected") return;
    try {
      await link.connection.stop();
    } catch (error) {
      link.connection.close();
      this.#lost(`it could not be reset: ${String(error)}`);
    } finally {
      this.#forget();
    }
  }

  async readStatus(): Promise<number> {
    const link = this.#link;
    if (link.kind !== "connected" || !link.connection.has(ProtocolFeature.STATUS)) return this.#status;
    const theirs = Number((await link.connection.requester.askNumber(Request.GetStatus)) & 0xffn);
    // Ours has what the back-end has not been told, or cannot know: that it is lost.
    return this.#status === 0 ? 0 : this.#status | (theirs & DEVICE_NEEDS_RESET);
  }

  /** @throws VirtioError ERR_TRANSPORT when there is no back-end; ERR_QUEUE when it does not take a queue */
  async writeStatus(status: number): Promise<void> {
    if (status === 0) return this.reset();
    // Giving up needs nobody else.
    if (this.#link.kind !== "connected" && (status & FAILED) !== 0) {
      this.#status |= FAILED;
      return;
    }
    const connection = this.#connected();
    const added = status & ~this.#status;
    let next = status | (this.#status & DEVICE_NEEDS_RESET);
    if ((added & FEATURES_OK) !== 0 && !(await this.#acceptFeatures(connection))) next &= ~FEATURES_OK;
    if ((added & DRIVER_OK) !== 0) {
      if ((this.#status & FEATURES_OK) === 0) throw this.#error("DRIVER_OK without FEATURES_OK (§3.1.1)");
      const layouts = Array.from({ length: this.#queueCount }, (_, i) => this.#layouts.get(i));
      await connection.start(layouts);
    }
    if (connection.has(ProtocolFeature.STATUS)) next = await this.#agreeOnStatus(connection, next, added);
    if (this.#link.kind !== "connected") throw this.#error("the back-end was lost meanwhile");
    this.#status = next;
    if ((added & DRIVER_OK) !== 0) connection.ringAll();
  }

  readDeviceFeatures(): bigint {
    return this.#deviceFeatures;
  }

  writeDriverFeatures(features: bigint): void {
    this.#driverFeatures = features;
  }

  readConfigGeneration(): number {
    return this.#configGeneration;
  }

  /** @throws VirtioError ERR_TRANSPORT; RangeError for an offset or a length that is none */
  async readConfig(offset: number, length: number): Promise<Uint8Array> {
    const valid = Number.isInteger(offset) && offset >= 0 && Number.isInteger(length) && length >= 0;
    if (!valid) throw new RangeError(`${length} bytes of config space at ${offset}`);
    const { config } = this.#options;
    if (config !== undefined) {
      const bytes = new Uint8Array(length);
      bytes.set(config.subarray(offset, offset + length));
      return bytes;
    }
    const connection = this.#connected();
    if (!connection.has(ProtocolFeature.CONFIG)) return new Uint8Array(length);
    return readBackendConfig(connection.requester, offset, length, shapeOf(this.#options).configSize);
  }

  /** Without effect where nobody takes it: the caller's own config space, or a back-end without CONFIG. */
  async writeConfig(offset: number, bytes: Uint8Array): Promise<void> {
    const connection = this.#connected();
    if (!connection.has(ProtocolFeature.CONFIG)) return;
    await writeBackendConfig(connection.requester, offset, bytes);
  }

  /** The back-end hears of it with DRIVER_OK. @throws VirtioError ERR_QUEUE */
  enableQueue(queueIndex: number, layout: QueueLayout): void {
    const max = this.maxQueueSize(queueIndex);
    const problem = layout.size > max ? `the maximum is ${max}` : layoutProblem(this.memory, layout);
    if (problem !== undefined) {
      throw new VirtioError("ERR_QUEUE", `queue ${queueIndex} of ${layout.size} entries refused: ${problem}`);
    }
    this.#layouts.set(queueIndex, { ...layout });
  }

  notify(queueIndex: number): void {
    if (this.#link.kind === "connected") this.#link.connection.ring(queueIndex);
  }

  onInterrupt(handler: InterruptHandler): void {
    this.#handler = handler;
  }

  /** In the polled mode: looks for interrupts now and then. In the event loop's mode there is nothing to do. */
  poll(): boolean {
    if (this.#options.interrupts !== "polled" || ++this.#polls < POLLS_PER_LOOK) return false;
    return this.#look();
  }

  /** In the polled mode: looks now. The event loop needs no look: it calls back. */
  arm(): boolean {
    return this.#options.interrupts === "polled" && this.#look();
  }

  /** Descriptors that are readable when `arm` would find something: a loop that blocks waits on them (`EventfdBell`). */
  get interruptFds(): readonly number[] {
    return this.#link.kind === "connected" ? this.#link.connection.interruptFds : [];
  }

  /** An open transport keeps the process alive; not after this, reconnected or not. */
  unref(): void {
    this.#keepsAlive = "no";
    if (this.#link.kind === "connected") this.#link.connection.unref();
  }

  async close(): Promise<void> {
    const link = this.#link;
    if (link.kind === "closed") return;
    if (link.kind === "connected") await this.reset();
    if (link.kind === "connected") link.connection.close();
    this.#link = { kind: "closed" };
  }

  #look(): boolean {
    this.#polls = 0;
    return this.#link.kind === "connected" && this.#link.connection.poll();
  }

  async #acceptFeatures(connection: Connection): Promise<boolean> {
    const features = this.#driverFeatures;
    // §2.2.1: "The driver MUST NOT accept a feature which the device did not offer"; §6.1: it must accept VERSION_1.
    const sound = (features & ~this.#deviceFeatures) === 0n && (features & featureBit(Feature.VERSION_1)) !== 0n;
    return sound && (await connection.setFeatures(features)) === "done";
  }

  /** The back-end has a status of its own: FEATURES_OK sticks only if it says so. */
  async #agreeOnStatus(connection: Connection, status: number, added: number): Promise<number> {
    const { requester } = connection;
    if ((await requester.tellNumber(Request.SetStatus, BigInt(status & ~DEVICE_NEEDS_RESET))) === "refused") {
      return status & ~(added & FEATURES_OK);
    }
    const theirs = Number((await requester.askNumber(Request.GetStatus)) & 0xffn);
    const refused = (added & FEATURES_OK) !== 0 && (theirs & FEATURES_OK) === 0 ? FEATURES_OK : 0;
    return (status & ~refused) | (theirs & DEVICE_NEEDS_RESET);
  }

  #needsReset(reason: string): void {
    if ((this.#status & DEVICE_NEEDS_RESET) !== 0) return;
    this.#status |= DEVICE_NEEDS_RESET;
    this.#log.error("a vhost-user device needs a reset", { device: this.deviceType, reason });
    this.#handler?.configChanged();
  }

  #lost(reason: string): void {
    if (this.#link.kind !== "connected") return;
    this.#link = { kind: "lost", reason };
    const socket = this.#socketPath;
    this.#log.error("a vhost-user back-end was lost", { device: this.deviceType, socket, reason });
    if ((this.#status & DRIVER_OK) !== 0) this.#needsReset(reason);
  }

  /** §2.4: as after a reset. */
  #forget(): void {
    this.#layouts.clear();
    this.#driverFeatures = 0n;
    this.#status = 0;
  }

  #connected(): Connection {
    const link = this.#link;
    if (link.kind === "connected") return link.connection;
    throw this.#error(link.kind === "lost" ? link.reason : "the transport is closed");
  }

  #error(reason: string): VirtioError {
    const device = `device type ${this.deviceType} at ${this.#socketPath}`;
    return new VirtioError("ERR_TRANSPORT", `vhost-user ${device}: ${reason}`);
  }
}

/**
 * Connects to a back-end and agrees with it on the protocol.
 * @throws VirtioError ERR_TRANSPORT when nobody answers in time, or answers wrongly; FfiUnavailable; RangeError
 */
export function connectFrontEnd(options: FrontEndOptions): Promise<VhostUserTransport> {
  return VhostUserTransport.connect(options);
}
