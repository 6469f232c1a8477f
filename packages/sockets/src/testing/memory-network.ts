/**
 * A network of vsock drivers without a device: the face of @toril/vsock's driver over plain arrays, for tests of what
 * stands on sockets. Nothing happens between the drivers but in `poll`, and then in order: runs are repeatable. It knows
 * windows, half-close, resets and lending; it is no model of the protocol.
 */
import { Errno, SystemError } from "@toril/virtio/platform";
import {
  type Cid,
  type Port,
  port,
  type VsockAddress,
  type VsockDriver,
  type VsockDriverStats,
  type VsockListener,
} from "@toril/vsock";
import { emptyStats } from "@toril/vsock/testing";
import { MemoryConnection } from "./memory-connection.ts";

const FIRST_EPHEMERAL = 49_152;

const NO_STATS: VsockDriverStats = emptyStats();

export class MemoryNetwork {
  readonly #drivers = new Map<number, MemoryDriver>();
  #wire: (() => void)[] = [];

  /** A driver for the machine with this CID. */
  driver(cid: number): MemoryDriver {
    const driver = new MemoryDriver(this, cid as Cid);
    this.#drivers.set(cid, driver);
    return driver;
  }

  find(cid: number): MemoryDriver | undefined {
    return this.#drivers.get(cid);
  }

  send(event: () => void): void {
    this.#wire.push(event);
  }

  /** Lets happen what is on the wire now; whether there was anything. */
  poll(): boolean {
    const events = this.#wire;
    this.#wire = [];
    for (const event of events) event();
    return events.length > 0;
  }

  /**
   * Polls until the promise settles.
   * @throws Error when nothing moves any more and it still waits: a lost wake-up.
   */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let state: "waiting" | "settled" = "waiting";
    const settled = (): void => {
      state = "settled";
    };
    void promise.then(settled, settled);
    for (let quiet = 0; quiet < 100 && (state as string) === "waiting"; quiet++) {
      if (this.poll()) quiet = 0;
      await Promise.resolve();
    }
    if (state === "waiting") throw new Error("it still waits, and nothing moves any more");
    return promise;
  }

  /** Polls until nothing is on the wire, and lets waiting threads go on in between. */
  async quiet(): Promise<void> {
    for (let quiet = 0; quiet < 100; quiet++) {
      if (this.poll()) quiet = 0;
      await Promise.resolve();
    }
  }
}

class MemoryListener implements VsockListener {
  readonly port: Port;
  readonly backlog: number;
  readonly waiting: MemoryConnection[] = [];
  onAcceptable: (() => void) | undefined = undefined;
  readonly #forget: () => void;

  constructor(listeningPort: Port, backlog: number, forget: () => void) {
    this.port = listeningPort;
    this.backlog = backlog;
    this.#forget = forget;
  }
  get pending(): number {
    return this.waiting.length;
  }
  tryAccept(): MemoryConnection | undefined {
    return this.waiting.shift();
  }
  close(): void {
    this.#forget();
    for (const connection of this.waiting.splice(0)) connection.abort();
  }
}

export class MemoryDriver implements VsockDriver {
  readonly guestCid: Cid;
  readonly stats: VsockDriverStats = NO_STATS;
  failure: string | undefined = undefined;
  /** Every connection that this driver ever had, oldest first. */
  readonly connections: MemoryConnection[] = [];
  readonly #network: MemoryNetwork;
  readonly #listeners = new Map<number, MemoryListener>();
  #nextPort = FIRST_EPHEMERAL;

  constructor(network: MemoryNetwork, cid: Cid) {
    this.#network = network;
    this.guestCid = cid;
  }

  listen(wanted: Port | undefined, backlog: number): VsockListener {
    const chosen = wanted ?? this.#ephemeral();
    if (this.#listeners.has(chosen)) throw new SystemError(Errno.EADDRINUSE, "listen", `port ${chosen}`);
    const listener = new MemoryListener(chosen, backlog, () => this.#listeners.delete(chosen));
    this.#listeners.set(chosen, listener);
    return listener;
  }

  connect(peer: VsockAddress, options?: { localPort?: Port; timeoutMs?: number }): MemoryConnection {
    const local = { cid: this.guestCid, port: options?.localPort ?? this.#ephemeral() };
    const mine = new MemoryConnection(local, peer, (event) => this.#network.send(event));
    this.connections.push(mine);
    this.#network.send(() => {
      const listener = this.#network.find(peer.cid)?.listenerAt(peer.port);
      if (mine.status !== "connecting") return;
      if (listener === undefined || listener.pending >= listener.backlog) {
        mine.finish(Errno.ECONNREFUSED);
        return;
      }
      const theirs = new MemoryConnection(peer, local, (event) => this.#network.send(event));
      this.#network.find(peer.cid)?.connections.push(theirs);
      mine.establish(theirs);
      theirs.establish(mine);
      listener.waiting.push(theirs);
      mine.listener.onConnected?.();
      listener.onAcceptable?.();
    });
    return mine;
  }

  listenerAt(at: Port): MemoryListener | undefined {
    return this.#listeners.get(at);
  }

  /** Every connection ends with ENETDOWN and who waits to accept is told, as when the device died. */
  fail(reason: string): void {
    this.failure = reason;
    for (const connection of this.connections) connection.finish(Errno.ENETDOWN);
    for (const listener of this.#listeners.values()) listener.onAcceptable?.();
  }

  poll(): boolean {
    return this.#network.poll();
  }

  arm(): boolean {
    return false;
  }

  async close(): Promise<void> {
    this.fail("the driver is closed");
  }

  #ephemeral(): Port {
    return port(this.#nextPort++);
  }
}
