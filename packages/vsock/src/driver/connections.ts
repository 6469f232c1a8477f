/** The connections of one driver, from the first packet to the last: who is there, who has something to send, whose time is up. */
import type { Cid, Port, VsockAddress } from "../address.ts";
import type { Endpoint } from "../connection/endpoint.ts";
import { Signal } from "../connection/signals.ts";
import { ConnectionTable } from "../connection/table.ts";
import { Turns } from "../connection/turns.ts";
import { Connection, type ConnectionOwner, News } from "./connection.ts";
import type { DriverSettings } from "./options.ts";
import type { Reporter } from "./reporter.ts";
import type { MutableStats } from "./stats.ts";

/** Waiting for credit: ask again after this, then after twice as long each time, in milliseconds. */
const ASK_AGAIN_MS = 20;
const ASK_AGAIN_MAX_MS = 1280;
/** A SHUTDOWN that nobody confirms is repeated after this, then after twice as long each time, in milliseconds. */
const TELL_AGAIN_MS = 10;

/** Who this guest is; may change with TRANSPORT_RESET. */
export interface Identity {
  cid: Cid;
}

export class Connections {
  readonly table: ConnectionTable<Connection> = new ConnectionTable();
  /** Connections with something to send. */
  readonly senders: Turns<Connection> = new Turns(1);
  readonly #owner: ConnectionOwner;
  readonly #settings: DriverSettings;
  readonly #stats: MutableStats;
  readonly #identity: Identity;
  readonly #reporter: Reporter;
  readonly #wake: () => void;

  constructor(
    owner: ConnectionOwner,
    settings: DriverSettings,
    stats: MutableStats,
    identity: Identity,
    reporter: Reporter,
    wake: () => void,
  ) {
    this.#owner = owner;
    this.#settings = settings;
    this.#stats = stats;
    this.#identity = identity;
    this.#reporter = reporter;
    this.#wake = wake;
  }

  /** Ends all of them, without a word to the peers: they know, or are gone. */
  endAll(wish: "transport-reset" | "peer-gone"): void {
    for (const connection of this.table.all()) {
      this.signalled(connection, connection.endpoint.request(wish));
      this.table.remove(connection); // also those that owed an RST
    }
  }

  /** Starts the connect timer. */
  limitConnect(connection: Connection, timeoutMs: number): void {
    if (timeoutMs === Number.POSITIVE_INFINITY) return;
    connection.timer = this.#settings.clock.after(timeoutMs, () => this.#timeOut(connection));
  }

  add(port: Port, peer: VsockAddress, endpoint: Endpoint): Connection {
    const local: VsockAddress = { cid: this.#identity.cid, port };
    const connection = new Connection(this.#owner, local, peer, endpoint, this.#settings.txPath);
    this.table.add(connection);
    this.#enlist(connection);
    return connection;
  }

  signalled(connection: Connection, signals: number): void {
    let news = 0;
    if ((signals & Signal.Connected) !== 0) {
      connection.timer?.cancel();
      this.countOpened(connection);
      news |= News.Connected;
    }
    if ((signals & (Signal.Data | Signal.InboundEnded)) !== 0) news |= News.Readable;
    if ((signals & Signal.OutboundRefused) !== 0) {
      connection.outgoing.drop();
      news |= News.Writable;
    }
    if ((signals & Signal.Credit) !== 0) this.#creditCame(connection);
    if ((signals & Signal.Closed) !== 0) this.#closed(connection);
    if (news !== 0) this.#reporter.announce(connection, news);
    this.settle(connection);
  }

  /** After something happened to a connection: also, has it something to send? */
  settle(connection: Connection): void {
    this.account(connection);
    if (connection.endpoint.wantsToSend) this.#enlist(connection);
  }

  /** Users may call outside of a turn of the loop, behind a promise that the engine has settled: then it must not sleep on. */
  #enlist(connection: Connection): void {
    if (this.senders.length === 0) this.#wake();
    this.senders.add(connection);
  }

  /** Is it over, is it out of credit? */
  account(connection: Connection): void {
    const { endpoint } = connection;
    if (endpoint.finished) this.table.remove(connection);
    if (connection.creditStalledAt < 0 && endpoint.blockedOnCredit) {
      connection.creditStalledAt = this.#settings.clock.now();
      this.#stats.waits.credit.count++;
    }
  }

  #creditCame(connection: Connection): void {
    if (!connection.closeTimed) {
      connection.askTimer?.cancel();
      connection.askTimer = undefined;
      connection.askDelayMs = 0;
    }
    this.#endCreditStall(connection);
    if (connection.canWrite()) this.#reporter.announce(connection, News.Writable);
    // Now it is memory that is wanting: without this nobody would ever tell the user that there is room.
    else if (connection.waitsForMemory) this.#owner.blockedOn(connection, "memory");
  }

  #endCreditStall(connection: Connection): void {
    if (connection.creditStalledAt < 0) return;
    this.#stats.waits.credit.ms += this.#settings.clock.now() - connection.creditStalledAt;
    connection.creditStalledAt = -1;
  }

  countOpened(connection: Connection): void {
    connection.counted = true;
    this.#stats.connectionsOpened++;
    this.#stats.connectionsOpen++;
  }

  #closed(connection: Connection): void {
    connection.timer?.cancel();
    connection.askTimer?.cancel();
    this.#endCreditStall(connection);
    connection.outgoing.drop();
    if (connection.counted) this.#stats.connectionsOpen--;
    connection.counted = false;
    if (connection.error !== 0) connection.waitsFor?.remove(connection);
    this.#reporter.announce(connection, News.Readable | News.Writable | News.Closed);
  }

  #timeOut(connection: Connection): void {
    this.signalled(connection, connection.endpoint.request("timeout"));
    this.#wake();
  }

  /**
   * SHUTDOWN was sent, and both directions are over: RST is to confirm it (§5.10.6.5). vhost-device-vsock forgets to when
   * it still has bytes for its host's side at that moment; told again later, it does. So does any peer that knows the flags
   * are permanent.
   */
  awaitReset(connection: Connection): void {
    const { clock, closeTimeoutMs } = this.#settings;
    if (!connection.closeTimed) {
      connection.closeTimed = true;
      connection.timer?.cancel();
      connection.timer = clock.after(closeTimeoutMs, () => this.#timeOut(connection));
      connection.askDelayMs = TELL_AGAIN_MS / 2;
    }
    connection.askTimer?.cancel();
    connection.askDelayMs = Math.min(ASK_AGAIN_MAX_MS, connection.askDelayMs * 2);
    connection.askTimer = clock.after(connection.askDelayMs, () => {
      connection.endpoint.tellAgain();
      this.settle(connection);
      this.#wake();
    });
  }

  /** Some peers answer a CREDIT_REQUEST, but do not tell by themselves when their user has read. */
  askAgainLater(connection: Connection): void {
    connection.askTimer?.cancel();
    connection.askDelayMs = Math.min(ASK_AGAIN_MAX_MS, connection.askDelayMs * 2 || ASK_AGAIN_MS);
    connection.askTimer = this.#settings.clock.after(connection.askDelayMs, () => {
      if (!connection.endpoint.blockedOnCredit) return;
      connection.endpoint.askAgain();
      this.settle(connection);
      this.#wake();
    });
  }
}
