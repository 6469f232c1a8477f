/** The connections of one device, from the first packet to the last: who has something to send, who is owed a call, whose time is up. */
import type { Port } from "../address.ts";
import type { Endpoint } from "../connection/endpoint.ts";
import { Signal } from "../connection/signals.ts";
import { ConnectionTable } from "../connection/table.ts";
import { Turns } from "../connection/turns.ts";
import { BlockPool } from "./block-pool.ts";
import { Call, GuestConnection, type GuestConnectionOwner } from "./guest-connection.ts";
import type { DeviceSettings } from "./options.ts";
import type { MutableDeviceStats } from "./stats.ts";

/** Waiting for credit: ask again after this, then after twice as long each time, in milliseconds. */
const ASK_AGAIN_MS = 20;
const ASK_AGAIN_MAX_MS = 1280;

/** What the connections need of their device. */
export interface GuestConnectionsOwner {
  sendNow(connection: GuestConnection): void;
  /** Something is to be done in the next poll. */
  wake(): void;
}

export class GuestConnections implements GuestConnectionOwner {
  readonly blocks: BlockPool = new BlockPool();
  readonly table: ConnectionTable<GuestConnection> = new ConnectionTable();
  /** Connections with something to send. */
  readonly senders: Turns<GuestConnection> = new Turns(1);
  /** Connections whose handlers are owed calls. */
  readonly #callers: Turns<GuestConnection> = new Turns(2);
  /** Closed connections whose handlers have not been given all bytes yet. */
  readonly #lingering = new Set<GuestConnection>();
  readonly #owner: GuestConnectionsOwner;
  readonly #settings: DeviceSettings;
  readonly #stats: MutableDeviceStats;

  constructor(owner: GuestConnectionsOwner, settings: DeviceSettings, stats: MutableDeviceStats) {
    this.#owner = owner;
    this.#settings = settings;
    this.#stats = stats;
  }

  /** Those that take memory: also closed ones, while their handlers have not been given everything. */
  get count(): number {
    return this.table.size + this.#lingering.size;
  }

  get full(): boolean {
    return this.count >= this.#settings.maxConnections;
  }

  get owesCalls(): boolean {
    return this.#callers.length > 0;
  }

  /** A connection that is not in the table yet: its handler is being found. */
  make(peer: { readonly cid: number; readonly port: number }, hostPort: Port, endpoint: Endpoint): GuestConnection {
    return new GuestConnection(this, peer, hostPort, endpoint, this.#settings, this.#stats);
  }

  /** Its handler was found. */
  add(connection: GuestConnection): void {
    this.table.add(connection);
    if (connection.endpoint.state.kind === "established") {
      this.countOpened(connection);
      this.owe(connection, Call.Opened);
    }
    this.changed(connection);
  }

  limitConnect(connection: GuestConnection, timeoutMs: number): void {
    connection.timer = this.#settings.clock.after(timeoutMs, () => this.#timeOut(connection));
  }

  startCloseTimer(connection: GuestConnection): void {
    connection.timer?.cancel();
    this.limitConnect(connection, this.#settings.closeTimeoutMs);
  }

  sendNow(connection: GuestConnection): void {
    this.#owner.sendNow(connection);
  }

  /** Ends all of them, without a word to the guest: it knows, or is gone. */
  endAll(wish: "transport-reset" | "peer-gone"): void {
    for (const connection of this.table.all()) {
      this.signalled(connection, connection.endpoint.request(wish));
      this.table.remove(connection);
    }
  }

  now(): number {
    return this.#settings.clock.now();
  }

  changed(connection: GuestConnection): void {
    this.forgetFinished(connection);
    if (connection.creditStalledAt < 0 && connection.endpoint.blockedOnCredit) {
      connection.creditStalledAt = this.#settings.clock.now();
      this.#stats.waits.credit.count++;
    }
    if (connection.endpoint.wantsToSend) this.senders.add(connection);
    if (connection.calls !== 0) this.#callers.add(connection);
    this.#owner.wake();
  }

  signalled(connection: GuestConnection, signals: number): void {
    if ((signals & Signal.Connected) !== 0) {
      connection.timer?.cancel();
      this.countOpened(connection);
      this.owe(connection, Call.Opened);
    }
    if ((signals & Signal.InboundEnded) !== 0) this.owe(connection, Call.End);
    if ((signals & Signal.OutboundRefused) !== 0) {
      connection.outbound.clear();
      this.owe(connection, Call.ReceiveEnded);
    }
    if ((signals & Signal.Credit) !== 0) {
      connection.askTimer?.cancel();
      connection.askDelayMs = 0;
      this.#endCreditStall(connection);
      this.offerDrain(connection);
    }
    if ((signals & Signal.Closed) !== 0) this.#closed(connection);
    this.changed(connection);
  }

  handlerThrew(connection: GuestConnection, error: unknown): void {
    this.#stats.handlerErrors++;
    this.#settings.log.error("vsock: a handler threw; its connection is reset", { reason: String(error) });
    connection.destroy();
  }

  #closed(connection: GuestConnection): void {
    connection.timer?.cancel();
    connection.askTimer?.cancel();
    this.#endCreditStall(connection);
    connection.outbound.clear();
    if (connection.counted) this.#stats.connectionsOpen--;
    connection.counted = false;
    this.#lingering.add(connection);
    this.owe(connection, Call.Closed);
  }

  #endCreditStall(connection: GuestConnection): void {
    if (connection.creditStalledAt < 0) return;
    this.#stats.waits.credit.ms += this.#settings.clock.now() - connection.creditStalledAt;
    connection.creditStalledAt = -1;
  }

  countOpened(connection: GuestConnection): void {
    connection.counted = true;
    this.#stats.connectionsOpened++;
    this.#stats.connectionsOpen++;
  }

  owe(connection: GuestConnection, call: number): void {
    connection.calls |= call;
    this.#callers.add(connection);
  }

  offerDrain(connection: GuestConnection): void {
    connection.offerDrain();
    if (connection.calls !== 0) this.#callers.add(connection);
  }

  forgetFinished(connection: GuestConnection): void {
    if (connection.endpoint.finished) this.table.remove(connection);
  }

  makeCalls(): boolean {
    const count = this.#callers.length;
    for (let left = count; left > 0; left--) {
      const connection = this.#callers.next();
      if (connection === undefined) break;
      connection.makeCalls();
      if (connection.calls === 0 && connection.endpoint.state.kind === "closed") this.#lingering.delete(connection);
    }
    return count > 0;
  }

  #timeOut(connection: GuestConnection): void {
    this.signalled(connection, connection.endpoint.request("timeout"));
  }

  askAgainLater(connection: GuestConnection): void {
    connection.askTimer?.cancel();
    connection.askDelayMs = Math.min(ASK_AGAIN_MAX_MS, connection.askDelayMs * 2 || ASK_AGAIN_MS);
    connection.askTimer = this.#settings.clock.after(connection.askDelayMs, () => {
      if (!connection.endpoint.blockedOnCredit) return;
      connection.endpoint.askAgain();
      this.changed(connection);
    });
  }
}
