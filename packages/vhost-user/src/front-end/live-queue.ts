/** One queue that the back-end serves: its three doorbells, and the messages that start and stop it. */
import { VirtioError } from "@toril/virtio";
import type { QueueLayout } from "@toril/virtqueue";
import { Eventfd } from "../ffi/eventfd.ts";
import type { MemfdMemory } from "../memory/memfd-memory.ts";
import { Request, requestName } from "../protocol/message.ts";
import { readVringState, vringAddress, vringState } from "../protocol/payloads.ts";
import type { Requester } from "./requester.ts";

/** How interrupts come in: called back by Node's event loop, or looked for by a loop that polls. */
export type InterruptMode = "event-loop" | "polled";

export interface QueueEvents {
  used(queueIndex: number): void;
  failed(queueIndex: number): void;
}

export class LiveQueue {
  readonly #index: number;
  readonly #layout: QueueLayout;
  readonly #events: QueueEvents;
  readonly #kick = new Eventfd();
  readonly #call = new Eventfd();
  readonly #error = new Eventfd();

  constructor(index: number, layout: QueueLayout, events: QueueEvents, mode: InterruptMode) {
    this.#index = index;
    this.#layout = layout;
    this.#events = events;
    if (mode === "polled") return;
    this.#call.onRing(() => events.used(index));
    this.#error.onRing(() => events.failed(index));
  }

  /** Ring addresses are of this process, descriptors hold guest addresses. @throws VirtioError */
  async start(requester: Requester, memory: MemfdMemory): Promise<void> {
    const index = this.#index;
    const { size, descriptorTable, usedRing, availableRing } = this.#layout;
    const [descriptors, used, available] = [descriptorTable, usedRing, availableRing].map((area) =>
      memory.userAddress(area),
    );
    if (descriptors === undefined || used === undefined || available === undefined) {
      throw new VirtioError("ERR_QUEUE", `queue ${index} does not lie in guest memory`);
    }
    const set = async (request: Request, payload: Uint8Array, fds: readonly number[] = []): Promise<void> => {
      const outcome = await requester.tell(request, payload, fds);
      if (outcome === "done") return;
      throw new VirtioError("ERR_QUEUE", `the back-end refused ${requestName(request)} for queue ${index}`);
    };
    const doorbell = vringIndex(index);
    await set(Request.SetVringNum, vringState(index, size));
    // The rings are new: they stand at 0.
    await set(Request.SetVringBase, vringState(index, 0));
    await set(Request.SetVringAddr, vringAddress({ index, descriptors, used, available }));
    await set(Request.SetVringErr, doorbell, [this.#error.fd]);
    await set(Request.SetVringCall, doorbell, [this.#call.fd]);
    await set(Request.SetVringKick, doorbell, [this.#kick.fd]);
  }

  /** Only with protocol features: without, a ring that has a kick descriptor is enabled. */
  async enable(requester: Requester): Promise<void> {
    if ((await requester.tell(Request.SetVringEnable, vringState(this.#index, 1))) === "done") return;
    throw new VirtioError("ERR_QUEUE", `the back-end refused to enable queue ${this.#index}`);
  }

  /** Once GET_VRING_BASE is answered the back-end does not touch the ring any more. @throws VirtioError ERR_TRANSPORT */
  async stop(requester: Requester, protocol: "protocol-features" | "plain"): Promise<void> {
    const index = this.#index;
    if (protocol === "protocol-features") await requester.tell(Request.SetVringEnable, vringState(index, 0));
    const answer = await requester.ask(Request.GetVringBase, vringState(index, 0));
    const state = readVringState(answer.payload);
    if (state?.index === index) return;
    throw requester.fail(`its answer to GET_VRING_BASE is not of queue ${index}`);
  }

  ring(): void {
    this.#kick.ring();
  }

  /** Looks for doorbells, in a loop that polls. Whether one had been rung. */
  poll(): boolean {
    const used = this.#call.drain();
    const failed = this.#error.drain();
    if (used) this.#events.used(this.#index);
    if (failed) this.#events.failed(this.#index);
    return used || failed;
  }

  /** Descriptors that become readable when `poll` has something. */
  get interruptFds(): readonly number[] {
    return [this.#call.fd, this.#error.fd];
  }

  unref(): void {
    this.#call.unref();
    this.#error.unref();
  }

  close(): void {
    this.#kick.close();
    this.#call.close();
    this.#error.close();
  }
}

function vringIndex(index: number): Uint8Array {
  return vringState(index, 0); // a u64 whose upper half is 0
}
