/**
 * The vsock device (virtio 1.3 §5.10), for any host: it takes the guest's packets from the TX ring (from-guest.ts), hands
 * their bytes to handlers where they lie, and fills the guest's RX buffers (to-guest.ts). The rules of a connection are
 * the same as the driver's (../connection). One `poll`:
 *
 *     TX ring ► each packet to its endpoint ► packets owed, connections in turn ► RX ring ► calls to handlers
 *
 * The guest is not trusted: what its packets say is checked, what they take is bounded.
 */
import { type Device, type DeviceContext, DeviceType, featureBit, hasFeature } from "@toril/virtio";
import { Errno, SystemError } from "@toril/virtio/platform";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import type { Cid, Port } from "../address.ts";
import { Endpoint } from "../connection/endpoint.ts";
import { EphemeralPorts } from "../connection/ephemeral-ports.ts";
import { OwedResets } from "../connection/owed-resets.ts";
import { configBytes } from "../wire/config.ts";
import { EVENT_SIZE, TRANSPORT_RESET, writeEvent } from "../wire/event.ts";
import { QueueIndex, VsockFeature } from "../wire/ops.ts";
import type { GuestStream, HostPortHandler } from "./api.ts";
import { FromGuest } from "./from-guest.ts";
import { GuestConnections } from "./guest-connections.ts";
import { type DeviceSettings, deviceSettings, type VsockDeviceOptions } from "./options.ts";
import { emptyDeviceStats, type MutableDeviceStats, type VsockDeviceStats } from "./stats.ts";
import { ToGuest } from "./to-guest.ts";

/** Events are rare: a migration. */
const EVENT_QUEUE_SIZE = 16;

/** What there is between `activate` and `reset`. */
interface Active {
  readonly context: DeviceContext;
  readonly tx: DeviceQueue;
  readonly rx: DeviceQueue;
  readonly fromGuest: FromGuest;
  readonly toGuest: ToGuest;
  readonly events: DeviceQueue | undefined;
  readonly eventChain: Chain | undefined;
}

export class VsockDevice implements Device {
  readonly type: number = DeviceType.Vsock;
  /** §5.10.3: stream sockets, and nothing implied. */
  readonly offeredFeatures: bigint = featureBit(VsockFeature.Stream) | featureBit(VsockFeature.NoImpliedStream);
  readonly queueMaxSizes: readonly number[];
  readonly #stats: MutableDeviceStats = emptyDeviceStats();
  readonly #settings: DeviceSettings;
  readonly #identity: { guestCid: Cid };
  readonly #connections: GuestConnections;
  readonly #listeners = new Map<number | "any", HostPortHandler>();
  readonly #owedResets = new OwedResets();
  readonly #ports: EphemeralPorts;
  #active: Active | undefined;
  #owesTransportReset = false;
  #polling = false;

  /** @throws RangeError for options that make no sense. */
  constructor(options: VsockDeviceOptions) {
    this.#settings = deviceSettings(options);
    this.#identity = { guestCid: options.guestCid };
    const size = options.queueSize ?? 512;
    this.queueMaxSizes = [size, size, EVENT_QUEUE_SIZE];
    this.#ports = new EphemeralPorts(this.#settings.ephemeralPorts);
    this.#connections = new GuestConnections(
      {
        sendNow: (connection) => this.#active?.toGuest.sendNow(connection),
        wake: () => this.#wake(),
      },
      this.#settings,
      this.#stats,
    );
  }

  get stats(): VsockDeviceStats {
    return this.#stats;
  }

  get guestCid(): Cid {
    return this.#identity.guestCid;
  }

  /**
   * Takes the guest's connections to a host port; `"any"`: to every port that has no handler of its own.
   * @returns stops it; connections that exist live on. @throws SystemError EADDRINUSE
   */
  listen(hostPort: Port | "any", handler: HostPortHandler): () => void {
    if (this.#listeners.has(hostPort)) {
      throw new SystemError(Errno.EADDRINUSE, "listen", `host port ${hostPort} has a handler already`);
    }
    this.#listeners.set(hostPort, handler);
    return () => {
      if (this.#listeners.get(hostPort) === handler) this.#listeners.delete(hostPort);
    };
  }

  /**
   * Connects to a port of the guest. The outcome comes through the handler: `opened`, or `closed` with ECONNREFUSED,
   * ETIMEDOUT, … @throws SystemError EADDRNOTAVAIL, ENOBUFS; whatever `handler` throws.
   */
  connect(guestPort: Port, handler: HostPortHandler, options: { timeoutMs?: number } = {}): GuestStream {
    const connections = this.#connections;
    if (connections.full) {
      throw new SystemError(Errno.ENOBUFS, "connect", `there are ${connections.count} connections, the maximum`);
    }
    const hostPort = this.#ports.take((port) => this.#listeners.has(port) || connections.table.usesLocalPort(port));
    if (hostPort === undefined) throw new SystemError(Errno.EADDRNOTAVAIL, "connect", "all host ports are in use");
    const peer = { cid: this.#identity.guestCid, port: guestPort };
    const { bufAlloc, counterStart, creditUpdates, connectTimeoutMs } = this.#settings;
    const connection = connections.make(peer, hostPort, Endpoint.connecting(bufAlloc, counterStart, creditUpdates));
    const chosen = handler(connection);
    if (chosen !== undefined) connection.handler = chosen;
    if (connection.endpoint.state.kind === "connecting") {
      connections.limitConnect(connection, options.timeoutMs ?? connectTimeoutMs);
    }
    connections.add(connection);
    if (chosen === undefined) connection.destroy();
    return connection;
  }

  /**
   * §5.10.6.7: tells the guest that communication was interrupted (after a migration), perhaps under another CID. All
   * connections end with ECONNRESET.
   */
  resetTransport(options: { guestCid?: Cid } = {}): void {
    const { guestCid = this.#identity.guestCid } = options;
    const moved = guestCid !== this.#identity.guestCid;
    this.#identity.guestCid = guestCid;
    this.#owedResets.clear();
    this.#connections.endAll("transport-reset");
    this.#owesTransportReset = this.#active !== undefined;
    if (moved) this.#active?.context.configChanged();
    this.#wake();
  }

  readConfig(): Uint8Array {
    return configBytes(this.#identity.guestCid);
  }

  /** §5.10.3.2: a driver that took NO_IMPLIED_STREAM and not STREAM could use no socket at all. */
  refuseFeatures(accepted: bigint): string | undefined {
    const noneImplied = hasFeature(accepted, VsockFeature.NoImpliedStream);
    if (!noneImplied || hasFeature(accepted, VsockFeature.Stream)) return undefined;
    return "NO_IMPLIED_STREAM without STREAM leaves no socket type";
  }

  activate(context: DeviceContext): void {
    const tx = context.queues[QueueIndex.Tx];
    const rx = context.queues[QueueIndex.Rx];
    const events = context.queues[QueueIndex.Event];
    if (tx === undefined || rx === undefined) {
      context.needsReset("the driver has set up no RX or no TX queue (§5.10.2)");
      return;
    }
    const connections = this.#connections;
    const owedResets = this.#owedResets;
    const fromGuest = new FromGuest({
      ...{ tx, connections, owedResets, settings: this.#settings, stats: this.#stats },
      ...{ identity: this.#identity, listeners: this.#listeners },
    });
    const { clock } = this.#settings;
    const toGuest = new ToGuest(rx, context.memory, clock, this.#stats, connections, owedResets);
    this.#active = { context, tx, rx, fromGuest, toGuest, events, eventChain: events?.createChain() };
    this.#owesTransportReset = false;
  }

  reset(): void {
    this.#active?.fromGuest.end();
    this.#active = undefined;
    this.#owedResets.clear();
    this.#connections.endAll("peer-gone");
    // Those that ended while the device waited for its reset: nobody has polled it since.
    this.#connections.makeCalls();
  }

  poll(): boolean {
    const active = this.#active;
    if (active === undefined) return this.#connections.makeCalls();
    this.#polling = true;
    let worked = active.fromGuest.takePackets();
    worked = active.toGuest.sendPackets() || worked;
    worked = this.#sendEvent(active) || worked;
    worked = this.#connections.makeCalls() || worked;
    // What handlers wrote and gave back just now; unless one of them has reset the device.
    if (this.#active === active) {
      active.toGuest.sendPackets();
      worked = this.#publish(active) || worked;
    }
    this.#polling = false;
    return worked;
  }

  arm(): boolean {
    const active = this.#active;
    if (active === undefined) return false;
    if (active.fromGuest.hasUnpublished || active.toGuest.rx.hasUnpublished || this.#connections.owesCalls) return true;
    let work = active.toGuest.arm();
    // With the strangers' list full, TX waits for RX (§5.10.6.1.2 allows it), and has nothing to say.
    if (!this.#owedResets.full) work = active.tx.armAvailableNotifications() || work;
    if (this.#owesTransportReset && active.events !== undefined) {
      work = active.events.armAvailableNotifications() || work;
    }
    return work;
  }

  #wake(): void {
    if (this.#active === undefined) this.#connections.makeCalls();
    else if (!this.#polling) this.#active.context.wake();
  }

  #publish(active: Active): boolean {
    let published = false;
    if (active.fromGuest.hasUnpublished) {
      active.fromGuest.published();
      this.#interrupt(active, active.tx, QueueIndex.Tx, this.#stats.interrupts.tx);
      published = true;
    }
    if (active.toGuest.rx.hasUnpublished) {
      active.toGuest.rx.published();
      this.#interrupt(active, active.rx, QueueIndex.Rx, this.#stats.interrupts.rx);
      published = true;
    }
    return published;
  }

  #interrupt(active: Active, queue: DeviceQueue, index: number, count: MutableDeviceStats["interrupts"]["rx"]): void {
    if (queue.publish()) {
      count.sent++;
      this.#stats.interruptsSent++;
      active.context.interrupt(index);
    } else {
      count.suppressed++;
      this.#stats.interruptsSuppressed++;
    }
  }

  #sendEvent(active: Active): boolean {
    if (!this.#owesTransportReset || active.events === undefined || active.eventChain === undefined) return false;
    if (!active.events.next(active.eventChain)) return false;
    const { head, writableBytes } = active.eventChain;
    if (writableBytes >= EVENT_SIZE) {
      const event = new Uint8Array(EVENT_SIZE);
      writeEvent(event, TRANSPORT_RESET);
      active.eventChain.write(0, event);
      active.events.complete(head, EVENT_SIZE);
      this.#owesTransportReset = false;
    } else {
      active.events.complete(head, 0); // too small for an event: back it goes, the next may do
    }
    this.#interrupt(active, active.events, QueueIndex.Event, this.#stats.interrupts.event);
    return true;
  }
}
