/** What a front-end has said about one ring; it can be served once everything is there. */
import type { QueueLayout } from "@toril/virtqueue";
import { Eventfd } from "../ffi/eventfd.ts";
import { libc } from "../ffi/libc.ts";
import type { VringAddress } from "../protocol/payloads.ts";
import type { SharedMemory } from "./shared-memory.ts";

export class Ring {
  size = 0;
  /** Where it stands in the available ring. */
  base = 0;
  address: VringAddress | undefined;
  enabled: "enabled" | "disabled" = "disabled";
  #kick: Eventfd | undefined;
  #call: Eventfd | undefined;
  #error: Eventfd | undefined;

  /** "The ring is started": it has been given a kick descriptor. */
  get started(): boolean {
    return this.#kick !== undefined;
  }

  setKick(fd: number | undefined, rung: () => void): void {
    this.#kick?.close();
    this.#kick = received(fd);
    this.#kick?.onRing(rung);
  }

  setCall(fd: number | undefined): void {
    this.#call?.close();
    this.#call = received(fd);
  }

  setError(fd: number | undefined): void {
    this.#error?.close();
    this.#error = received(fd);
  }

  /** A used buffer notification. */
  interrupt(): void {
    this.#call?.ring();
  }

  fail(): void {
    this.#error?.ring();
  }

  /** Where it lies in guest memory; `undefined` when it does not. */
  layout(memory: SharedMemory): QueueLayout | undefined {
    if (this.address === undefined) return undefined;
    const { descriptors, available, used } = this.address;
    const [descriptorTable, availableRing, usedRing] = [descriptors, available, used].map((at) =>
      memory.guestAddress(at),
    );
    if (descriptorTable === undefined || availableRing === undefined || usedRing === undefined) return undefined;
    return { size: this.size, descriptorTable, availableRing, usedRing };
  }

  /** Stopped: the descriptors are forgotten, as GET_VRING_BASE wants it. */
  stop(): void {
    this.setKick(undefined, () => {});
    this.setCall(undefined);
    this.setError(undefined);
    this.enabled = "disabled";
  }
}

/** A front-end may have made it blocking, and could stop this thread with it. */
function received(fd: number | undefined): Eventfd | undefined {
  if (fd === undefined) return undefined;
  libc().makeNonBlocking(fd);
  return new Eventfd(fd);
}
