/**
 * The vsock driver: brings together the rings (rx-ring.ts, tx-ring.ts, event-ring.ts), the ways in and out (receiver.ts,
 * transmitter.ts), the connections (connections.ts) and the rules (../connection). One `poll`:
 *
 *     event ring ► RX ring ► each packet to its endpoint ► packets owed, connections in turn ► TX ring ► tell the users
 *
 * The order matters in one place: RX is processed whether TX has room or not (§5.10.6.1.1); what is owed to peers are flags
 * of the endpoints, and a bounded list for strangers.
 */
import type { InitializedDevice, InterruptFlags } from "@toril/virtio";
import { Errno, SystemError } from "@toril/virtio/platform";
import { type Cid, LOCAL_CID, type Port, type VsockAddress } from "../address.ts";
import { Endpoint } from "../connection/endpoint.ts";
import { EphemeralPorts } from "../connection/ephemeral-ports.ts";
import { CONFIG_SIZE, readGuestCid } from "../wire/config.ts";
import { QueueIndex } from "../wire/ops.ts";
import type { VsockDriver } from "./api.ts";
import type { Connection } from "./connection.ts";
import type { Connections, Identity } from "./connections.ts";
import type { EventRing } from "./event-ring.ts";
import { Listener, type ListenerOwner } from "./listener.ts";
import type { DriverSettings } from "./options.ts";
import type { PacketPool } from "./packet-pool.ts";
import type { Receiver } from "./receiver.ts";
import type { Reporter } from "./reporter.ts";
import type { RxRing } from "./rx-ring.ts";
import type { MutableStats, VsockDriverStats } from "./stats.ts";
import type { Token } from "./token.ts";
import type { Transmitter } from "./transmitter.ts";
import type { TxRing } from "./tx-ring.ts";
import { type DriverParts, wire } from "./wiring.ts";

// The queues were asked for in the order of their numbers, so these are their places in `InitializedDevice`, too.
const { Rx: RX, Tx: TX, Event: EVENT } = QueueIndex;

export class Driver implements VsockDriver, ListenerOwner {
  readonly #stats: MutableStats;
  readonly #settings: DriverSettings;
  readonly #device: InitializedDevice<Token>;
  readonly #interrupts: InterruptFlags;
  readonly #rx: RxRing;
  readonly #tx: TxRing;
  readonly #events: EventRing;
  readonly #packets: PacketPool;
  readonly #ringBuffers: PacketPool;
  readonly #wake: () => void;
  readonly #identity: Identity;
  readonly #reporter: Reporter;
  readonly #connections: Connections;
  readonly #transmitter: Transmitter;
  readonly #receiver: Receiver;
  readonly #listeners = new Map<number, Listener>();
  readonly #ports: EphemeralPorts;
  /** `refreshing`: after TRANSPORT_RESET, until the guest CID has been read again: no packet goes in or out. */
  #phase: "live" | "refreshing" | "failed" | "closed" = "live";
  #failure: string | undefined;
  #resetting: Promise<void> | undefined;

  constructor(parts: DriverParts) {
    const { settings, device, stats } = parts;
    this.#settings = settings;
    this.#device = device;
    this.#interrupts = parts.interrupts;
    this.#stats = stats;
    const { notifications } = device;
    const none = stats.notifications.rx;
    // The device counts; these are its own counters.
    stats.notifications = {
      rx: notifications[RX] ?? none,
      tx: notifications[TX] ?? none,
      event: notifications[EVENT] ?? none,
    };
    this.#rx = parts.rx;
    this.#tx = parts.tx;
    this.#events = parts.events;
    this.#packets = parts.packets;
    this.#ringBuffers = parts.ringBuffers;
    this.#wake = parts.wake;
    this.#ports = new EphemeralPorts(settings.ephemeralPorts);
    const wired = wire(parts, this.#listeners, () => void this.#publish());
    this.#identity = wired.identity;
    this.#reporter = wired.reporter;
    this.#connections = wired.connections;
    this.#transmitter = wired.transmitter;
    this.#receiver = wired.receiver;
  }

  get guestCid(): Cid {
    return this.#identity.cid;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  get stats(): VsockDriverStats {
    const { notificationsSent, notificationsSuppressed } = this.#device;
    Object.assign(this.#stats, { notificationsSent, notificationsSuppressed });
    return this.#stats;
  }

  listen(port: Port | undefined, backlog: number): Listener {
    this.#requireAlive("listen");
    if (!Number.isInteger(backlog) || backlog < 1) throw new RangeError(`a backlog of ${backlog}: use 1 or more`);
    if (port !== undefined && this.#listeners.has(port)) {
      throw new SystemError(Errno.EADDRINUSE, "listen", `port ${port} has a listener already`);
    }
    const listener = new Listener(this, port ?? this.#ephemeralPort("listen"), backlog);
    this.#listeners.set(listener.port, listener);
    return listener;
  }

  connect(peer: VsockAddress, options: { localPort?: Port; timeoutMs?: number } = {}): Connection {
    this.#requireAlive("connect");
    // As Linux has it where there is no vsock_loopback. No device would answer: it would be a wait for nothing.
    if (peer.cid === this.#identity.cid || peer.cid === LOCAL_CID) {
      throw new SystemError(Errno.ENODEV, "connect", `CID ${peer.cid} is this guest, and there is no loopback`);
    }
    const { table } = this.#connections;
    if (table.size >= this.#settings.maxConnections) {
      throw new SystemError(Errno.ENOBUFS, "connect", `there are ${table.size} connections, the maximum`);
    }
    const port = options.localPort ?? this.#ephemeralPort("connect");
    if (table.find(peer.cid, peer.port, port) !== undefined) {
      const pair = `port ${port} to ${peer.cid}:${peer.port}`;
      throw new SystemError(Errno.EADDRINUSE, "connect", `a connection from ${pair} exists, or is closing`);
    }
    const { bufAlloc, counterStart, creditUpdates, connectTimeoutMs } = this.#settings;
    const endpoint = Endpoint.connecting(bufAlloc, counterStart, creditUpdates);
    const connection = this.#connections.add(port, peer, endpoint);
    this.#connections.limitConnect(connection, options.timeoutMs ?? connectTimeoutMs);
    return connection;
  }

  async close(): Promise<void> {
    if (this.#phase === "live" || this.#phase === "refreshing") this.#end("closed", "the driver is closed");
    this.#phase = "closed";
    for (const listener of [...this.#listeners.values()]) listener.close();
    await this.#resetting;
    this.#reporter.tell();
  }

  poll(): boolean {
    if (this.#phase === "failed" || this.#phase === "closed") return this.#reporter.tell();
    let worked = this.#lookAtConfig();
    worked = this.#transmitter.reclaim() || worked;
    worked = this.#serveEvents() || worked;
    if (this.#phase === "live") {
      worked = this.#receiver.receive() || worked;
      worked = this.#transmitter.wakeMemoryWaiters() || worked;
      worked = this.#transmitter.send() || worked;
    }
    worked = this.#publish() || worked;
    if (this.#isBroken()) return this.#reporter.tell() || worked;
    worked = this.#reporter.tell() || worked;
    // What the users did just now: buffers given back, packets handed over.
    this.#publish();
    return worked;
  }

  arm(): boolean {
    if (this.#reporter.hasNews) return true;
    if (this.#phase === "failed" || this.#phase === "closed") return false;
    if (this.#rx.hasUnpublished || this.#tx.hasUnpublished || this.#events.hasUnpublished) return true;
    const work = this.#device.queue(EVENT).armUsedNotifications();
    if (this.#phase === "refreshing") return work;
    // While strangers' RSTs fill their list, RX waits for TX, and has nothing to say.
    const received = !this.#transmitter.owedResets.full && this.#device.queue(RX).armUsedNotifications();
    return this.#transmitter.arm() || received || work;
  }

  #publish(): boolean {
    let published = false;
    if (this.#rx.hasUnpublished) {
      this.#rx.published();
      this.#device.publish(RX);
      published = true;
    }
    if (this.#tx.hasUnpublished) {
      this.#tx.published();
      this.#device.publish(TX);
      published = true;
    }
    if (this.#events.hasUnpublished) {
      this.#events.published();
      this.#device.publish(EVENT);
      published = true;
    }
    return published;
  }

  closeListener(listener: Listener): void {
    if (this.#listeners.get(listener.port) === listener) this.#listeners.delete(listener.port);
  }

  #ephemeralPort(syscall: string): Port {
    const port = this.#ports.take((p) => this.#listeners.has(p) || this.#connections.table.usesLocalPort(p));
    if (port !== undefined) return port;
    const { first, last } = this.#settings.ephemeralPorts;
    throw new SystemError(Errno.EADDRNOTAVAIL, syscall, `all ports from ${first} to ${last} are in use`);
  }

  #requireAlive(syscall: string): void {
    if (this.#failure !== undefined) throw new SystemError(Errno.ENETDOWN, syscall, this.#failure);
  }

  #serveEvents(): boolean {
    const event = this.#events.poll();
    if (event === "nothing") return false;
    this.#device.queue(EVENT).suppressUsedNotifications();
    if (event === "transport-reset") this.#transportReset();
    return true;
  }

  /** §5.10.6.7.1: connections MUST be shut down, the guest CID MUST be fetched again, listeners MUST stay. */
  #transportReset(): void {
    this.#settings.log.warn("vsock: the device reset the transport; all connections are over");
    this.#transmitter.owedResets.clear();
    this.#connections.endAll("transport-reset");
    this.#phase = "refreshing";
    this.#transmitter.state = "paused";
    this.#refreshCid().catch((error: unknown) => this.#fail(`the guest CID cannot be read: ${String(error)}`));
  }

  async #refreshCid(): Promise<void> {
    const cid = readGuestCid(await this.#device.readConfig(0, CONFIG_SIZE));
    if (this.#phase !== "refreshing") return;
    if (cid === undefined) {
      this.#fail("the device presents a reserved guest CID (§5.10.4)");
      return;
    }
    this.#identity.cid = cid;
    this.#phase = "live";
    this.#transmitter.state = "open";
    this.#wake();
  }

  #lookAtConfig(): boolean {
    if (!this.#interrupts.takeConfigChanged()) return false;
    this.#device.needsReset().then(
      (needed) => needed && this.#fail("the device asks for a reset (§2.1.2)"),
      (error: unknown) => this.#fail(`the device's status cannot be read: ${String(error)}`),
    );
    return true;
  }

  #isBroken(): boolean {
    const violation = this.#device.queues.find((queue) => queue.violation !== undefined)?.violation;
    if (violation === undefined) return false;
    this.#fail(`${violation.message} (§${violation.section})`);
    return true;
  }

  #fail(reason: string): void {
    if (this.#phase === "failed" || this.#phase === "closed") return;
    this.#settings.log.error("vsock: the driver has failed", { reason });
    this.#end("failed", reason);
    this.#wake();
  }

  /** Ends every connection and resets the device: only then do lent buffers come back. Who waits to accept is told. */
  #end(phase: "failed" | "closed", reason: string): void {
    this.#phase = phase;
    this.#failure = reason;
    for (const listener of this.#listeners.values()) this.#reporter.acceptable(listener);
    this.#transmitter.close();
    this.#connections.endAll("peer-gone");
    this.#resetting = this.#resetDevice();
  }

  async #resetDevice(): Promise<void> {
    try {
      const tokens = await this.#device.reset();
      this.#rx.close(tokens[RX] ?? []);
      this.#tx.close(tokens[TX] ?? []);
      this.#events.free();
      this.#packets.close();
      this.#ringBuffers.close();
    } catch (error) {
      // The device may still use what it has: those buffers stay lent, which is safe, and are lost, which is said.
      this.#settings.log.error("vsock: the device could not be reset; its buffers are lost", { reason: String(error) });
    }
    this.#wake();
  }
}
