/**
 * A virtio-fs device that a test has in its hand: it keeps every request, and answers with what the script says; where
 * the script says nothing, a FuseServer answers over a file system of your choice.
 */
import { type Device, type DeviceContext, DeviceType } from "@toril/virtio";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { PENDING } from "../device/exchange.ts";
import type { FileSystem } from "../device/file-system.ts";
import { FuseServer } from "../device/fuse-server.ts";
import { createInHeader, IN_HEADER_SIZE, opaqueToNumber, readInHeader } from "../wire/index.ts";

/** A request as it came. */
export interface ScriptedRequest {
  readonly queue: number;
  readonly opcode: number;
  readonly unique: number;
  readonly node: number;
  /** All readable bytes. */
  readonly bytes: Uint8Array;
  /** How many bytes of reply there is room for. */
  readonly room: number;
}

/**
 * What to do with a request: `undefined`, serve it; bytes, write them, and say that so many were written (or `used`);
 * `hold`, keep it until `release`; `drop`, return it with nothing written.
 */
export type ScriptedAnswer =
  | undefined
  | "hold"
  | "drop"
  | Uint8Array
  | { readonly bytes: Uint8Array; readonly used: number };

const QUEUE_SIZE = 128;
const CONFIG_SIZE = 40;

export class ScriptedFuseDevice implements Device {
  readonly type: number = DeviceType.FileSystem;
  readonly offeredFeatures: bigint = 0n;
  readonly queueMaxSizes: readonly number[];
  /** Every request, in the order they came. */
  readonly requests: ScriptedRequest[] = [];
  /** Decides; replace it at any time. */
  script: (request: ScriptedRequest) => ScriptedAnswer = () => undefined;
  readonly #server: FuseServer;
  readonly #config: Uint8Array = new Uint8Array(CONFIG_SIZE);
  #context: DeviceContext | undefined;
  #held: { readonly queue: number; readonly chain: Chain }[] = [];

  /** @param requestQueues how many the device has; @param queueSize entries in each */
  constructor(fileSystem: FileSystem, requestQueues = 1, queueSize: number = QUEUE_SIZE) {
    this.#server = new FuseServer({ fileSystem });
    this.queueMaxSizes = Array.from({ length: 1 + requestQueues }, () => queueSize);
    this.#config.set([0x74, 0x65, 0x73, 0x74]); // "test"
    this.#config[36] = requestQueues;
  }

  /** What it was activated with; `undefined` when it is not live. */
  get context(): DeviceContext | undefined {
    return this.#context;
  }

  get held(): number {
    return this.#held.length;
  }

  readConfig(): Uint8Array {
    return this.#config;
  }

  activate(context: DeviceContext): void {
    this.#context = context;
  }

  reset(): void {
    this.#context = undefined;
    this.#held = [];
    this.#server.reset();
  }

  poll(): boolean {
    let worked = false;
    this.#context?.queues.forEach((queue, index) => {
      if (queue === undefined) return;
      let chain = queue.createChain();
      while (queue.next(chain)) {
        worked = true;
        this.#take(queue, index, chain);
        chain = queue.createChain();
      }
      if (queue.publish()) this.#context?.interrupt(index);
    });
    return worked;
  }

  arm(): boolean {
    return this.#context?.queues.some((queue) => queue?.armAvailableNotifications() === true) === true;
  }

  /** Serves what is held, the newest first: replies out of order. */
  release(): void {
    for (const { queue, chain } of this.#held.splice(0).reverse()) {
      const ring = this.#context?.queues[queue];
      if (ring === undefined) continue;
      this.#serve(ring, chain);
      if (ring.publish()) this.#context?.interrupt(queue);
    }
  }

  #take(ring: DeviceQueue, queue: number, chain: Chain): void {
    const bytes = new Uint8Array(chain.readableBytes);
    chain.read(0, bytes);
    const header = createInHeader();
    if (bytes.length >= IN_HEADER_SIZE) readInHeader(bytes, 0, header);
    const { opcode } = header;
    const request = {
      queue,
      opcode,
      unique: opaqueToNumber(header.unique),
      node: opaqueToNumber(header.node),
      bytes,
      room: chain.writableBytes,
    };
    this.requests.push(request);
    const answer = this.script(request);
    if (answer === undefined) this.#serve(ring, chain);
    else if (answer === "hold") this.#held.push({ queue, chain });
    else if (answer === "drop") ring.complete(chain.head, 0);
    else {
      const { bytes: reply, used } = answer instanceof Uint8Array ? { bytes: answer, used: answer.length } : answer;
      chain.write(0, reply);
      ring.complete(chain.head, Math.min(used, chain.writableBytes));
    }
  }

  #serve(ring: DeviceQueue, chain: Chain): void {
    const written = this.#server.serve(chain, () => undefined);
    if (written === PENDING) throw new Error("the file system of a scripted device must answer at once");
    ring.complete(chain.head, written);
  }
}
