/**
 * The sockets of one vsock driver. Each thread has its own calls object (`callsFor`); ports and sockets are shared.
 *
 * Nothing here polls. Whoever owns the driver polls it; the driver's events serve the waits.
 */
import type { AbortSignalLike, Clock } from "@toril/virtio/platform";
import type { VsockDriver } from "@toril/vsock";
import type { SocketCalls } from "./calls.ts";
import { PortTable } from "./ports.ts";
import { ThreadSocketCalls } from "./thread-calls.ts";

export interface SocketLayerOptions {
  readonly driver: VsockDriver;
  /** For timeouts. */
  readonly clock: Clock;
}

/** The socket calls of one thread, with what its keeper needs. */
export interface OwnedSocketCalls extends SocketCalls {
  /** Sockets accounted to this thread that are not closed. */
  readonly openSockets: number;
  /** Calls of this thread that wait now. */
  readonly waiting: number;
  /**
   * For the end of the thread: cancels its waits (ECANCELED), closes its sockets and says how many it had left open. No
   * socket can be made or adopted afterwards.
   */
  closeAll(): number;
}

export class SocketLayer {
  readonly driver: VsockDriver;
  readonly #clock: Clock;
  readonly #ports = new PortTable();

  constructor(options: SocketLayerOptions) {
    this.driver = options.driver;
    this.#clock = options.clock;
  }

  /** @param options `signal`: the thread's own; when it fires, every wait of the thread ends with ECANCELED. */
  callsFor(options: { readonly signal?: AbortSignalLike } = {}): OwnedSocketCalls {
    return new ThreadSocketCalls(this.driver, this.#clock, this.#ports, options.signal);
  }
}
