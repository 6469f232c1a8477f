/** A run of received bytes that a user has borrowed. The object may be the user's own, used again and again. */
import type { GuestAddress } from "@toril/memory";
import type { ReceivedBytes } from "./api.ts";
import type { RxBuffer } from "./rx-ring.ts";

/** Who takes a borrowed run back. */
export interface Lender {
  /** @param buffer the receive buffer that the run lay in; `undefined`: private memory */
  takeBack(buffer: RxBuffer | undefined, length: number): void;
}

export class BorrowedBytes implements ReceivedBytes {
  #lender: Lender | undefined;
  #buffer: RxBuffer | undefined;
  #address: GuestAddress | undefined;
  #length = 0;
  #bytes: Uint8Array | undefined;

  /** Whether it holds a run. */
  get isHeld(): boolean {
    return this.#lender !== undefined;
  }

  get length(): number {
    return this.#length;
  }

  /** @throws Error when released: the memory is somebody else's again. */
  get bytes(): Uint8Array {
    if (this.#lender === undefined) throw new Error("received bytes were read after they were released");
    // A view is made only for those who look.
    const { memory } = this.#buffer?.dma ?? {};
    if (this.#address !== undefined) this.#bytes ??= memory?.bytes(this.#address, this.#length);
    return this.#bytes ?? NO_BYTES;
  }

  /** @throws Error when released already. */
  release(): void {
    const lender = this.#lender;
    if (lender === undefined) throw new Error("received bytes were released twice");
    const buffer = this.#buffer;
    this.#lender = undefined;
    this.#buffer = undefined;
    this.#bytes = undefined;
    lender.takeBack(buffer, this.#length);
  }

  /** For drivers: holds a run of a receive buffer, from a guest address on, or one in private memory. */
  fill(lender: Lender, buffer: RxBuffer | undefined, length: number, where: GuestAddress | Uint8Array): void {
    this.#lender = lender;
    this.#buffer = buffer;
    this.#length = length;
    this.#address = typeof where === "number" ? where : undefined;
    this.#bytes = typeof where === "number" ? undefined : where;
  }
}

const NO_BYTES = new Uint8Array(0);
