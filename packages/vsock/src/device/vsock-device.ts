/**
 * The vsock device (virtio 1.3 §5.10), for any host: it takes the guest's packets from the TX ring, hands their bytes to
 * handlers where they lie, and fills the guest's RX buffers. The rules of a connection are the same as the driver's
 * (../connection). One `poll`:
 *
 *     TX ring ► each packet to its endpoint ► packets owed, connections in turn ► RX ring ► calls to handlers
 *
 * The guest is not trusted: what its packets say is checked, what they take is bounded.
 */
import type { GuestMemory } from "@toril/memory";
import { type Device, type DeviceContext, DeviceType, featureBit, hasFeature } from "@toril/virtio";
import { type Clock, Errno, type Log, SystemError, silentLog } from "@toril/virtio/platform";
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { type Cid, HOST_CID, type Port } from "../address.ts";
import { MAX_WINDOW } from "../connection/credit.ts";
import { Endpoint, Signal } from "../connection/endpoint.ts";
import { EPHEMERAL_PORTS, EphemeralPorts, type PortRange } from "../connection/ephemeral-ports.ts";
import { OwedResets } from "../connection/owed-resets.ts";
import { ConnectionTable } from "../connection/table.ts";
import { Turns } from "../connection/turns.ts";
import { configBytes } from "../wire/config.ts";
import { EVENT_SIZE, TRANSPORT_RESET, writeEvent } from "../wire/event.ts";
import { HEADER_SIZE, PacketHeader, readHeader, readHeaderBytes } from "../wire/header.ts";
import { MAX_PAYLOAD, Op, QueueIndex, SocketType, VsockFeature } from "../wire/ops.ts";
import type { GuestStream, HostPortHandler } from "./api.ts";
import { Call, GuestConnection, type GuestConnectionOptions, type GuestConnectionOwner } from "./guest-connection.ts";
import { HeldHeads } from "./held-heads.ts";
import { RxWriter } from "./rx-writer.ts";
import { emptyDeviceStats, type MutableDeviceStats, type VsockDeviceStats } from "./stats.ts";

export interface VsockDeviceOptions {
  readonly guestCid: Cid;
  readonly clock: Clock;
  readonly log?: Log;
  /** The receive window of each connection in bytes: what the host keeps at most for a slow handler; 256 KiB unless told. */
  readonly bufAlloc?: number;
  /** TX heads that one connection's handler may hold; 4 unless told. 0: every byte is copied to host memory. */
  readonly txHeadsPerConnection?: number;
  /** How long it may hold one before what follows is copied, in milliseconds; 5 unless told. */
  readonly holdMs?: number;
  /** Bytes that `write` takes beyond the guest's credit; 64 KiB unless told. */
  readonly queueBytes?: number;
  /** How long the host's own connections wait for the guest's answer; 2 s unless told. */
  readonly connectTimeoutMs?: number;
  /** How long an ended connection waits for the guest's RST; 8 s unless told. */
  readonly closeTimeoutMs?: number;
  /** Connections at a time; 4,096 unless told. More are refused. */
  readonly maxConnections?: number;
  /** Host ports for `connect`; 49152 to 65535 unless told. */
  readonly ephemeralPorts?: PortRange;
  /** Largest size of the RX and TX queues; 256 unless told. */
  readonly queueSize?: number;
  /** For tests of the wrap-around: where the credit counters start, in place of 0. Both ends must agree. */
  readonly counterStart?: number;
}

const EVENT_QUEUE_SIZE = 16;
const ASK_AGAIN_MS = 20;
const ASK_AGAIN_MAX_MS = 1280;

/** What there is between `activate` and `reset`. */
interface Active {
  readonly context: DeviceContext;
  readonly memory: GuestMemory;
  readonly tx: DeviceQueue;
  readonly txChain: Chain;
  readonly rxQueue: DeviceQueue;
  readonly rx: RxWriter;
  readonly events: DeviceQueue | undefined;
  readonly eventChain: Chain | undefined;
  readonly heads: HeldHeads;
}

export class VsockDevice implements Device, GuestConnectionOwner {
  readonly type: number = DeviceType.Vsock;
  /** §5.10.3: stream sockets, and nothing implied. */
  readonly offeredFeatures: bigint = featureBit(VsockFeature.Stream) | featureBit(VsockFeature.NoImpliedStream);
  readonly queueMaxSizes: readonly number[];
  readonly #stats: MutableDeviceStats = emptyDeviceStats();
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #bufAlloc: number;
  readonly #connectTimeoutMs: number;
  readonly #closeTimeoutMs: number;
  readonly #maxConnections: number;
  readonly #counterStart: number;
  readonly #connectionOptions: GuestConnectionOptions;
  readonly #ports: EphemeralPorts;
  readonly #connections = new ConnectionTable<GuestConnection>();
  readonly #listeners = new Map<number | "any", HostPortHandler>();
  readonly #owedResets = new OwedResets();
  /** Connections with something to send. */
  readonly #senders = new Turns<GuestConnection>(1);
  /** Connections whose handlers are owed calls. */
  readonly #callers = new Turns<GuestConnection>(2);
  /** Closed connections whose handlers have not been given all bytes yet. */
  readonly #lingering = new Set<GuestConnection>();
  readonly #header = new PacketHeader();
  readonly #outgoing = new PacketHeader();
  readonly #scratch: Uint8Array = new Uint8Array(HEADER_SIZE);
  #guestCid: Cid;
  #active: Active | undefined;
  #txUnpublished = 0;
  #owesTransportReset = false;
  #polling = false;

  /** @throws RangeError for options that make no sense. */
  constructor(options: VsockDeviceOptions) {
    this.#guestCid = options.guestCid;
    this.#clock = options.clock;
    this.#log = options.log ?? silentLog;
    this.#bufAlloc = options.bufAlloc ?? 262_144;
    if (!Number.isInteger(this.#bufAlloc) || this.#bufAlloc < 1 || this.#bufAlloc > MAX_WINDOW) {
      throw new RangeError(`bufAlloc is ${this.#bufAlloc}: use 1 to ${MAX_WINDOW} bytes`);
    }
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 2000;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? 8000;
    this.#maxConnections = options.maxConnections ?? 4096;
    this.#counterStart = options.counterStart ?? 0;
    this.#connectionOptions = {
      queueBytes: options.queueBytes ?? 65_536,
      maxHeads: options.txHeadsPerConnection ?? 4,
      holdMs: options.holdMs ?? 5,
    };
    const size = options.queueSize ?? 256;
    this.queueMaxSizes = [size, size, EVENT_QUEUE_SIZE];
    this.#ports = new EphemeralPorts(options.ephemeralPorts ?? EPHEMERAL_PORTS);
  }

  get stats(): VsockDeviceStats {
    return this.#stats;
  }

  get guestCid(): Cid {
    return this.#guestCid;
  }

  // --- what the host calls -------------------------------------------------------------------------------------------

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
    if (this.#count >= this.#maxConnections) {
      throw new SystemError(Errno.ENOBUFS, "connect", `there are ${this.#count} connections, the maximum`);
    }
    const hostPort = this.#ports.take((port) => this.#listeners.has(port) || this.#connections.usesLocalPort(port));
    if (hostPort === undefined) throw new SystemError(Errno.EADDRNOTAVAIL, "connect", "all host ports are in use");
    const peer = { cid: this.#guestCid, port: guestPort };
    const endpoint = Endpoint.connecting(this.#bufAlloc, this.#counterStart);
    const connection = new GuestConnection(this, peer, hostPort, endpoint, this.#connectionOptions, this.#stats);
    const chosen = handler(connection);
    if (chosen !== undefined) connection.handler = chosen;
    this.#connections.add(connection);
    const timeoutMs = options.timeoutMs ?? this.#connectTimeoutMs;
    connection.timer = this.#clock.after(timeoutMs, () => this.#timeOut(connection));
    if (chosen === undefined) connection.destroy();
    this.changed(connection);
    return connection;
  }

  /**
   * §5.10.6.7: tells the guest that communication was interrupted (after a migration), perhaps under another CID. All
   * connections end with ECONNRESET.
   */
  resetTransport(options: { guestCid?: Cid } = {}): void {
    this.#guestCid = options.guestCid ?? this.#guestCid;
    this.#endAll("transport-reset");
    this.#owesTransportReset = this.#active !== undefined;
    this.#wake();
  }

  // --- Device --------------------------------------------------------------------------------------------------------

  readConfig(): Uint8Array {
    return configBytes(this.#guestCid);
  }

  /** §5.10.3.2: a driver that took NO_IMPLIED_STREAM and not STREAM could use no socket at all. */
  refuseFeatures(accepted: bigint): string | undefined {
    const noneImplied = hasFeature(accepted, VsockFeature.NoImpliedStream);
    if (!noneImplied || hasFeature(accepted, VsockFeature.Stream)) return undefined;
    return "NO_IMPLIED_STREAM without STREAM leaves no socket type";
  }

  activate(context: DeviceContext): void {
    const tx = context.queues[QueueIndex.Tx];
    const rxQueue = context.queues[QueueIndex.Rx];
    if (tx === undefined || rxQueue === undefined) {
      context.needsReset("the driver has set up no RX or no TX queue (§5.10.2)");
      return;
    }
    const events = context.queues[QueueIndex.Event];
    const heads = new HeldHeads(tx, this.#stats, () => {
      this.#txUnpublished++;
    });
    this.#active = {
      ...{ context, tx, rxQueue, events, heads, memory: context.memory },
      txChain: tx.createChain(),
      eventChain: events?.createChain(),
      rx: new RxWriter(rxQueue, context.memory, this.#stats),
    };
    this.#txUnpublished = 0;
    this.#owesTransportReset = false;
  }

  reset(): void {
    this.#active?.heads.end();
    this.#active = undefined;
    this.#endAll("peer-gone");
  }

  poll(): boolean {
    const active = this.#active;
    if (active === undefined) return this.#makeCalls();
    this.#polling = true;
    let worked = this.#takePackets(active);
    worked = this.#sendPackets(active) || worked;
    worked = this.#sendEvent(active) || worked;
    worked = this.#makeCalls() || worked;
    // What handlers wrote and gave back just now.
    if (this.#active === active) {
      this.#sendPackets(active);
      worked = this.#publish(active) || worked;
    }
    this.#polling = false;
    return worked;
  }

  arm(): boolean {
    const active = this.#active;
    if (active === undefined) return false;
    if (this.#txUnpublished > 0 || active.rx.hasUnpublished || this.#callers.length > 0) return true;
    let work = false;
    // With the strangers' list full, TX waits for RX (§5.10.6.1.2 allows it), and has nothing to say.
    if (!this.#owedResets.full) work = active.tx.armAvailableNotifications();
    if (this.#hasToSend) work = active.rxQueue.armAvailableNotifications() || active.rx.ready || work;
    if (this.#owesTransportReset && active.events !== undefined) {
      work = active.events.armAvailableNotifications() || work;
    }
    return work;
  }

  get #count(): number {
    return this.#connections.size + this.#lingering.size;
  }

  get #hasToSend(): boolean {
    return this.#senders.length > 0 || this.#owedResets.length > 0;
  }

  #wake(): void {
    if (this.#active === undefined) this.#makeCalls();
    else if (!this.#polling) this.#active.context.wake();
  }

  #publish(active: Active): boolean {
    let published = false;
    if (this.#txUnpublished > 0) {
      this.#txUnpublished = 0;
      this.#interrupt(active, active.tx, QueueIndex.Tx);
      published = true;
    }
    if (active.rx.hasUnpublished) {
      active.rx.published();
      this.#interrupt(active, active.rxQueue, QueueIndex.Rx);
      published = true;
    }
    return published;
  }

  #interrupt(active: Active, queue: DeviceQueue, index: number): void {
    if (queue.publish()) {
      this.#stats.interruptsSent++;
      active.context.interrupt(index);
    } else {
      this.#stats.interruptsSuppressed++;
    }
  }

  // --- from the guest ------------------------------------------------------------------------------------------------

  #takePackets(active: Active): boolean {
    const { tx, txChain } = active;
    // Once around the ring at most, so that a guest which never stops sending does not starve its own receiving.
    let left = tx.size;
    for (; left > 0 && !this.#owedResets.full && this.#active === active; left--) {
      if (!tx.next(txChain)) break;
      this.#stats.packetsFromGuest++;
      this.#packet(active, txChain);
    }
    if (left === tx.size) return false;
    if (this.#active === active) tx.suppressAvailableNotifications();
    return true;
  }

  #packet(active: Active, chain: Chain): void {
    const header = this.#header;
    if (!this.#readHeader(active, chain) || !this.#isAddressed(header)) {
      this.#stats.malformedPackets++;
      this.#giveBack(active, chain);
      return;
    }
    if (header.op === Op.Rst) this.#stats.resetsReceived++;
    const known = header.type === SocketType.Stream;
    const connection = known ? this.#connections.find(header.srcCid, header.srcPort, header.dstPort) : undefined;
    if (connection === undefined) {
      this.#giveBack(active, chain);
      // §5.10.6.2.2: RST for an unknown type; §5.10.6.5: for a port where nobody listens, and for strangers.
      if (!known || header.op !== Op.Request || !this.#accept(header)) this.#owedResets.add(header);
      return;
    }
    const payload = header.op === Op.Rw ? header.len : 0;
    if (payload > chain.readableBytes - HEADER_SIZE) {
      this.#giveBack(active, chain);
      this.signalled(connection, connection.endpoint.request("violation"));
      return;
    }
    const signals = connection.endpoint.receive(header, payload);
    if ((signals & Signal.Data) !== 0) {
      this.#stats.bytesFromGuest += payload;
      connection.inbound.add(chain, payload, active.memory, active.heads);
    } else {
      this.#giveBack(active, chain);
    }
    this.signalled(connection, signals);
  }

  #readHeader(active: Active, chain: Chain): boolean {
    if (chain.readableBytes < HEADER_SIZE) return false;
    if (chain.length(0) >= HEADER_SIZE) {
      readHeader(active.memory, chain.address(0), this.#header);
    } else {
      // §2.7.4: a device must not rely on how a packet is split over descriptors.
      chain.read(0, this.#scratch);
      readHeaderBytes(this.#scratch, 0, this.#header);
    }
    return true;
  }

  /** §5.10.6.4: the guest's packets come from its CID and go to the host's; the upper halves are zero (§5.10.4). */
  #isAddressed(header: PacketHeader): boolean {
    const zero = header.srcCidHigh === 0 && header.dstCidHigh === 0;
    return zero && header.srcCid === this.#guestCid && header.dstCid === HOST_CID;
  }

  #giveBack(active: Active, chain: Chain): void {
    active.tx.complete(chain.head, 0);
    this.#txUnpublished++;
  }

  /** A REQUEST; `false` refuses it. */
  #accept(request: PacketHeader): boolean {
    if (this.#count >= this.#maxConnections) return false;
    const listener = this.#listeners.get(request.dstPort) ?? this.#listeners.get("any");
    if (listener === undefined) return false;
    const peer = { cid: request.srcCid, port: request.srcPort };
    const endpoint = Endpoint.accepting(request, this.#bufAlloc, this.#counterStart);
    const connection = new GuestConnection(
      this,
      peer,
      request.dstPort as Port,
      endpoint,
      this.#connectionOptions,
      this.#stats,
    );
    try {
      const handler = listener(connection);
      if (handler === undefined) return false;
      connection.handler = handler;
    } catch (error) {
      this.#stats.handlerErrors++;
      this.#log.error("vsock: a host port's handler threw; the connection is refused", { reason: String(error) });
      return false;
    }
    this.#connections.add(connection);
    this.#countOpened(connection);
    this.#owe(connection, Call.Opened);
    this.changed(connection);
    return true;
  }

  // --- to the guest --------------------------------------------------------------------------------------------------

  #sendPackets(active: Active): boolean {
    let sent = false;
    while (this.#hasToSend && active.rx.ready) {
      sent = true;
      if (this.#owedResets.take(this.#outgoing)) {
        this.#outgoing.srcCid = HOST_CID;
        active.rx.end(this.#outgoing);
        this.#stats.resetsSent++;
        continue;
      }
      const connection = this.#senders.next();
      if (connection !== undefined && this.#sendOne(active, connection)) this.#senders.add(connection);
    }
    if (sent) active.rxQueue.suppressAvailableNotifications();
    return sent;
  }

  /** One packet of one connection. Whether it has another. */
  #sendOne(active: Active, connection: GuestConnection): boolean {
    const { endpoint, outbound } = connection;
    const header = this.#outgoing;
    const op = endpoint.take(header, Math.min(active.rx.payloadRoom, MAX_PAYLOAD));
    if (op === 0) return false;
    header.srcCid = HOST_CID;
    header.dstCid = connection.peerCid;
    header.srcPort = connection.localPort;
    header.dstPort = connection.peerPort;
    header.type = SocketType.Stream;
    if (op === Op.Rw) {
      for (let left = header.len; left > 0; ) {
        const run = outbound.take(left);
        if (run === undefined) break;
        active.rx.addPayload(run);
        left -= run.length;
      }
      this.#stats.bytesToGuest += header.len;
    }
    active.rx.end(header);
    if (op === Op.Rw) this.#offerDrain(connection);
    else this.#controlSent(connection, op);
    this.#forgetFinished(connection);
    return endpoint.wantsToSend;
  }

  #controlSent(connection: GuestConnection, op: Op): void {
    switch (op) {
      case Op.CreditUpdate:
        this.#stats.creditUpdatesSent++;
        break;
      case Op.CreditRequest:
        this.#stats.creditRequestsSent++;
        this.#askAgainLater(connection);
        break;
      case Op.Rst:
        this.#stats.resetsSent++;
        break;
      case Op.Shutdown:
        if (connection.endpoint.state.kind !== "closing") break;
        connection.timer?.cancel();
        connection.timer = this.#clock.after(this.#closeTimeoutMs, () => this.#timeOut(connection));
        break;
      default:
        break;
    }
  }

  sendNow(connection: GuestConnection): void {
    const active = this.#active;
    if (active === undefined || this.#senders.length > 0) return;
    while (connection.endpoint.wantsToSend && active.rx.ready) {
      if (!this.#sendOne(active, connection)) break;
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
    this.#interrupt(active, active.events, QueueIndex.Event);
    return true;
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  now(): number {
    return this.#clock.now();
  }

  changed(connection: GuestConnection): void {
    this.#forgetFinished(connection);
    if (connection.endpoint.wantsToSend) this.#senders.add(connection);
    if (connection.calls !== 0) this.#callers.add(connection);
    this.#wake();
  }

  signalled(connection: GuestConnection, signals: number): void {
    if ((signals & Signal.Connected) !== 0) {
      connection.timer?.cancel();
      this.#countOpened(connection);
      this.#owe(connection, Call.Opened);
    }
    if ((signals & Signal.InboundEnded) !== 0) this.#owe(connection, Call.End);
    if ((signals & Signal.OutboundRefused) !== 0) {
      connection.outbound.clear();
      this.#owe(connection, Call.ReceiveEnded);
    }
    if ((signals & Signal.Credit) !== 0) {
      connection.askTimer?.cancel();
      connection.askDelayMs = 0;
      this.#offerDrain(connection);
    }
    if ((signals & Signal.Closed) !== 0) this.#closed(connection);
    this.changed(connection);
  }

  handlerThrew(connection: GuestConnection, error: unknown): void {
    this.#stats.handlerErrors++;
    this.#log.error("vsock: a handler threw; its connection is reset", { reason: String(error) });
    connection.destroy();
  }

  #closed(connection: GuestConnection): void {
    connection.timer?.cancel();
    connection.askTimer?.cancel();
    connection.outbound.clear();
    if (connection.counted) this.#stats.connectionsOpen--;
    connection.counted = false;
    this.#lingering.add(connection);
    this.#owe(connection, Call.Closed);
  }

  #countOpened(connection: GuestConnection): void {
    connection.counted = true;
    this.#stats.connectionsOpened++;
    this.#stats.connectionsOpen++;
  }

  #owe(connection: GuestConnection, call: number): void {
    connection.calls |= call;
    this.#callers.add(connection);
  }

  #offerDrain(connection: GuestConnection): void {
    connection.offerDrain();
    if (connection.calls !== 0) this.#callers.add(connection);
  }

  #forgetFinished(connection: GuestConnection): void {
    if (connection.endpoint.finished) this.#connections.remove(connection);
  }

  #makeCalls(): boolean {
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

  #askAgainLater(connection: GuestConnection): void {
    connection.askTimer?.cancel();
    connection.askDelayMs = Math.min(ASK_AGAIN_MAX_MS, connection.askDelayMs * 2 || ASK_AGAIN_MS);
    connection.askTimer = this.#clock.after(connection.askDelayMs, () => {
      if (!connection.endpoint.blockedOnCredit) return;
      connection.endpoint.askAgain();
      this.changed(connection);
    });
  }

  #endAll(wish: "transport-reset" | "peer-gone"): void {
    this.#owedResets.clear();
    for (const connection of this.#connections.all()) {
      this.signalled(connection, connection.endpoint.request(wish));
      this.#connections.remove(connection);
    }
  }
}
