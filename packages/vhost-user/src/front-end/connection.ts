/** One connection to a back-end, from the handshake to its end: what it offered, and what is live on it. */
import { setTimeout as sleep } from "node:timers/promises";
import { VirtioError } from "@toril/virtio";
import type { QueueLayout } from "@toril/virtqueue";
import { LibcError, libc } from "../ffi/libc.ts";
import { connectUnix } from "../ffi/unix-socket.ts";
import type { MemfdMemory } from "../memory/memfd-memory.ts";
import { PROTOCOL_FEATURES_BIT, ProtocolFeature, Request } from "../protocol/message.ts";
import { memoryTable } from "../protocol/payloads.ts";
import { BackendChannel } from "./backend-channel.ts";
import { setUpInflight } from "./inflight.ts";
import { type InterruptMode, LiveQueue, type QueueEvents } from "./live-queue.ts";
import { hasProtocol, type Negotiated, negotiate } from "./negotiation.ts";
import { Requester } from "./requester.ts";

export interface ConnectionOptions {
  readonly socketPath: string;
  readonly memory: MemfdMemory;
  readonly config: "ours" | "the back-end's";
  readonly timeoutMs: number;
  readonly interrupts: InterruptMode;
  readonly events: ConnectionEvents;
}

interface ConnectionEvents extends QueueEvents {
  configChanged(): void;
  /** Called once, when the connection ends by itself. */
  lost(reason: string): void;
}

/** Milliseconds between attempts while the back-end's backlog is full, or it has not called `listen` yet. */
const RETRY_MS = 5;
/** Between its `bind` and its `listen` a daemon's socket is there and refuses: for no longer than this. */
const REFUSED_MS = 250;
const ECONNREFUSED = 111;

export class Connection {
  readonly requester: Requester;
  readonly negotiated: Negotiated;
  readonly #options: ConnectionOptions;
  #channel: BackendChannel | undefined;
  #queues: (LiveQueue | undefined)[] = [];
  #inflightFd = -1;
  /** The back-end has been told something that a reset must take back. */
  #touched = false;
  #keepsAlive: "yes" | "no" = "yes";

  private constructor(options: ConnectionOptions, requester: Requester, negotiated: Negotiated) {
    this.#options = options;
    this.requester = requester;
    this.negotiated = negotiated;
  }

  /** @throws VirtioError ERR_TRANSPORT; FfiUnavailable; RangeError when the path is too long */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const fd = await connectWithin(options.socketPath, options.timeoutMs);
    /** Once it is up; before that, the call that fails tells. */
    let up: Connection | undefined;
    const requester = new Requester({
      fd,
      timeoutMs: options.timeoutMs,
      lost: (reason) => {
        up?.close();
        if (up !== undefined) options.events.lost(reason);
      },
    });
    let connection: Connection | undefined;
    try {
      connection = new Connection(options, requester, await negotiate(requester, options.config));
      await connection.#openChannel();
      if (requester.reason !== undefined) throw requester.fail(requester.reason);
      up = connection;
      return connection;
    } catch (error) {
      connection?.close();
      requester.close();
      throw error;
    }
  }

  async #openChannel(): Promise<void> {
    if (!this.has(ProtocolFeature.BACKEND_REQ)) return;
    this.#channel = await BackendChannel.open(this.requester, {
      configChanged: () => this.#options.events.configChanged(),
      broken: (reason) => void this.requester.fail(reason),
    });
  }

  has(feature: number): boolean {
    return hasProtocol(this.negotiated, feature);
  }

  /** @returns `refused` when the back-end says no, as far as it can say anything @throws VirtioError ERR_TRANSPORT */
  async setFeatures(features: bigint): Promise<"done" | "refused"> {
    this.#touched = true;
    const own = this.negotiated.protocol === undefined ? 0n : PROTOCOL_FEATURES_BIT;
    return this.requester.tellNumber(Request.SetFeatures, features | own);
  }

  /** Tells where memory and queues are, then starts all of them. @throws VirtioError */
  async start(layouts: readonly (QueueLayout | undefined)[]): Promise<void> {
    this.#touched = true;
    const { requester, negotiated } = this;
    const { memory, events, interrupts } = this.#options;
    await this.#shareMemory();
    if (this.has(ProtocolFeature.INFLIGHT_SHMFD)) {
      const largest = layouts.reduce((max, layout) => Math.max(max, layout?.size ?? 0), 0);
      this.#inflightFd = await setUpInflight(requester, layouts.length, largest);
    }
    for (const [index, layout] of layouts.entries()) {
      if (layout === undefined) continue;
      const queue = new LiveQueue(index, layout, events, interrupts);
      if (this.#keepsAlive === "no") queue.unref();
      this.#queues[index] = queue;
      await queue.start(requester, memory);
    }
    if (negotiated.protocol === undefined) return;
    for (const queue of this.#queues) await queue?.enable(requester);
  }

  /** §3.1.1: chains may have been published before DRIVER_OK, without a notification. */
  ringAll(): void {
    for (const queue of this.#queues) queue?.ring();
  }

  ring(queueIndex: number): void {
    this.#queues[queueIndex]?.ring();
  }

  /** Stops every queue and undoes the rest. @throws VirtioError ERR_TRANSPORT: then the connection is over */
  async stop(): Promise<void> {
    const plain = this.negotiated.protocol === undefined ? "plain" : "protocol-features";
    for (const queue of this.#queues) await queue?.stop(this.requester, plain);
    this.#closeQueues();
    if (!this.#touched) return;
    if (this.has(ProtocolFeature.RESET_DEVICE)) await this.requester.tell(Request.ResetDevice);
    if (this.has(ProtocolFeature.STATUS)) await this.requester.tellNumber(Request.SetStatus, 0n);
    this.#touched = false;
  }

  /** Looks for doorbells and messages, in a loop that polls. */
  poll(): boolean {
    let worked = false;
    for (const queue of this.#queues) if (queue?.poll() === true) worked = true;
    return this.#pump() || worked;
  }

  #pump(): boolean {
    const spoke = this.#channel?.pump() === true;
    return this.requester.pump() || spoke;
  }

  /** Readable when `poll` has something. */
  get interruptFds(): readonly number[] {
    return this.#parts.flatMap((part) => part?.interruptFds ?? []);
  }

  unref(): void {
    this.#keepsAlive = "no";
    for (const part of this.#parts) part?.unref();
  }

  /** Lets go of everything; the back-end stops when it sees its socket closed. */
  close(): void {
    this.#closeQueues();
    this.#channel?.close();
    this.requester.close();
  }

  get #parts(): readonly (LiveQueue | BackendChannel | Requester | undefined)[] {
    return [...this.#queues, this.#channel, this.requester];
  }

  #closeQueues(): void {
    for (const queue of this.#queues) queue?.close();
    this.#queues = [];
    if (this.#inflightFd >= 0) libc().close(this.#inflightFd);
    this.#inflightFd = -1;
  }

  async #shareMemory(): Promise<void> {
    const { regions } = this.#options.memory;
    const described = regions.map(({ base, size, userAddress }) => {
      return { guestAddress: BigInt(base), size: BigInt(size), userAddress, mmapOffset: 0n };
    });
    const fds = regions.map(({ fd }) => fd);
    if ((await this.requester.tell(Request.SetMemTable, memoryTable(described), fds)) === "done") return;
    const bytes = regions.reduce((sum, { size }) => sum + size, 0);
    throw new VirtioError("ERR_TRANSPORT", `the back-end refused ${regions.length} regions, ${bytes} bytes of memory`);
  }
}

/** @throws VirtioError ERR_TRANSPORT */
async function connectWithin(path: string, timeoutMs: number): Promise<number> {
  const began = performance.now();
  for (;;) {
    const fd = tryConnect(path, performance.now() - began < Math.min(timeoutMs, REFUSED_MS) ? "patient" : "final");
    if (fd >= 0) return fd;
    if (performance.now() - began > timeoutMs) {
      throw new VirtioError("ERR_TRANSPORT", `vhost-user: ${path} takes no connection: its backlog is full`);
    }
    await sleep(RETRY_MS);
  }
}

/** -1: not now. */
function tryConnect(path: string, mood: "patient" | "final"): number {
  try {
    return connectUnix(path);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === ECONNREFUSED && mood === "patient") return -1;
    throw new VirtioError("ERR_TRANSPORT", `vhost-user: nobody serves ${path}: ${error.message}`);
  }
}
