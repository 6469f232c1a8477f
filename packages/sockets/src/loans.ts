/** What the socket calls know of lent buffers: the loans of one call, and the wait until a connection's loans are over. */
import type { BufferSlice, VsockConnection } from "@toril/vsock";
import type { WaitOptions } from "./calls.ts";
import { Wait, type WaitQueue, type WaitScope } from "./wait.ts";

/** The loans that one call makes, part by part: tells once when all of them are over. */
export class Loans {
  /** One for the call itself, one for each part that was taken. */
  #open = 1;
  readonly #onReturned: (() => void) | undefined;
  #resolveOver: (() => void) | undefined;
  /** What the connection calls for each part. */
  readonly #returned: () => void = () => this.finish();

  constructor(onReturned: (() => void) | undefined) {
    this.#onReturned = onReturned;
  }

  /** @returns what the connection returned. */
  send(connection: VsockConnection, parts: readonly BufferSlice[], skip: number): number {
    this.#open++;
    let count = -1;
    try {
      count = connection.trySendBuffers(parts, skip, this.#returned);
    } finally {
      if (count < 0) this.#open--;
    }
    return count;
  }

  /** The call itself is over, well or not; or one part is back. */
  finish(): void {
    this.#open--;
    if (this.#open > 0) return;
    this.#resolveOver?.();
    this.#onReturned?.();
  }

  /** Settles when nothing is lent any more. */
  get over(): Promise<void> {
    if (this.#open === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#resolveOver = resolve;
    });
  }
}

/** Whether a counter modulo 2^32 has come as far as `wanted`. */
export function isReached(returned: number, wanted: number): boolean {
  return ((returned - wanted) | 0) >= 0;
}

export class LoanWait extends Wait<number> {
  readonly #connection: VsockConnection;
  readonly #wanted: number;

  constructor(
    scope: WaitScope,
    queue: WaitQueue,
    connection: VsockConnection,
    wanted: number,
    options: WaitOptions | undefined,
  ) {
    super("loansOver", scope, queue, options);
    this.#connection = connection;
    this.#wanted = wanted;
  }

  attempt(): boolean {
    const { loansReturned } = this.#connection;
    if (!isReached(loansReturned, this.#wanted)) return false;
    this.succeed(loansReturned);
    return true;
  }
}
