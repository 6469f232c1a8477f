/** Calls that wait: for a slot, or for the answer to a request that is on its way. Both can be cancelled. */
import { Errno } from "@toril/virtio/platform";
import type { Cancellable, Cancellation } from "./cancellation.ts";
import type { RequestSlot } from "./request-slot.ts";

/** A call that waits for a slot. */
export class SlotWaiter implements Cancellable {
  readonly #cancel: Cancellation | undefined;
  readonly #resolve: (slot: RequestSlot | number) => void;
  readonly #queue: Set<SlotWaiter>;

  constructor(queue: Set<SlotWaiter>, cancel: Cancellation | undefined, resolve: (slot: RequestSlot | number) => void) {
    this.#queue = queue;
    this.#cancel = cancel;
    this.#resolve = resolve;
    queue.add(this);
    cancel?.join(this);
  }

  settle(slot: RequestSlot | number): void {
    this.#queue.delete(this);
    this.#cancel?.leave(this);
    this.#resolve(slot);
  }

  onCancelled(): void {
    this.settle(this.#cancel?.result ?? -Errno.ECANCELED);
  }
}

/** A request between `send` and its reply. */
export class Flight implements Cancellable {
  readonly slot: RequestSlot;
  readonly cancel: Cancellation | undefined;
  readonly settle: (result: number) => void;
  readonly #onCancelled: (flight: Flight) => void;

  constructor(
    onCancelled: (flight: Flight) => void,
    slot: RequestSlot,
    cancel: Cancellation | undefined,
    settle: (result: number) => void,
  ) {
    this.#onCancelled = onCancelled;
    this.slot = slot;
    this.cancel = cancel;
    this.settle = settle;
  }

  onCancelled(): void {
    this.#onCancelled(this);
  }
}
