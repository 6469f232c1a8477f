/**
 * The vsock driver: brings together the rings (rx-ring.ts, tx-ring.ts, event-ring.ts), the connections (connection.ts)
 * and the rules (../connection). One `poll`:
 *
 *     event ring ► RX ring ► each packet to its endpoint ► packets owed, connections in turn ► TX ring ► tell the users
 *
 * The order matters in one place: RX is processed whether TX has room or not (§5.10.6.1.1); what is owed to peers are flags
 * of the endpoints, and a bounded list for strangers.
 */
import type { DmaBuffer, GuestMemory } from "@toril/memory";
import type { InitializedDevice, InterruptFlags } from "@toril/virtio";
import { Errno, SystemError, type Timer } from "@toril/virtio/platform";
import type { Cid, Port, VsockAddress } from "../address.ts";
import { Endpoint, Signal } from "../connection/endpoint.ts";
import { EphemeralPorts } from "../connection/ephemeral-ports.ts";
import { OwedResets } from "../connection/owed-resets.ts";
import { ConnectionTable } from "../connection/table.ts";
import { Turns } from "../connection/turns.ts";
import { CONFIG_SIZE, readGuestCid } from "../wire/config.ts";
import { HEADER_SIZE, PacketHeader, readHeader } from "../wire/header.ts";
import { MAX_PAYLOAD, Op, SocketType } from "../wire/ops.ts";
import type { VsockDriver, VsockDriverStats } from "./api.ts";
import { Connection, type ConnectionOwner, News } from "./connection.ts";
import type { EventRing } from "./event-ring.ts";
import { Listener, type ListenerOwner } from "./listener.ts";
import type { DriverSettings } from "./options.ts";
import type { PacketBuffer, SendChunk } from "./packet.ts";
import type { PacketPool } from "./packet-pool.ts";
import type { RxBuffer, RxRing } from "./rx-ring.ts";
import type { MutableStats } from "./stats.ts";
import type { Token } from "./token.ts";
import type { TxRing } from "./tx-ring.ts";

/** The places of the queues in `InitializedDevice`, which are their numbers too (§5.10.2). */
const RX = 0;
const TX = 1;
const EVENT = 2;

/** Waiting for credit: ask again after this, then after twice as long each time, in milliseconds. */
const ASK_AGAIN_MS = 20;
const ASK_AGAIN_MAX_MS = 1280;
/** Out of guest memory that is not ours to wait for: look again after this, in milliseconds. */
const MEMORY_RETRY_MS = 10;

/** What `createVsockDriver` has set up. */
export interface DriverParts {
  readonly settings: DriverSettings;
  readonly device: InitializedDevice<Token>;
  readonly interrupts: InterruptFlags;
  readonly guestCid: Cid;
  readonly rx: RxRing;
  readonly events: EventRing;
  readonly packets: PacketPool;
  readonly ringBuffers: PacketPool;
  readonly stats: MutableStats;
  readonly wake: () => void;
  readonly tx: TxRing;
}

export class Driver implements VsockDriver, ConnectionOwner, ListenerOwner {
  readonly memory: GuestMemory;
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

  readonly #connections = new ConnectionTable<Connection>();
  readonly #listeners = new Map<number, Listener>();
  readonly #ports: EphemeralPorts;
  readonly #owedResets = new OwedResets();
  /** Connections with something to send. */
  readonly #senders = new Turns<Connection>(1);
  /** Connections whose listener has something to hear. */
  readonly #news = new Turns<Connection>(2);
  /** Connections that wait for packet memory. */
  readonly #memoryWaiters = new Turns<Connection>(4);
  #acceptable: Listener[] = [];
  #returned: (() => void)[] = [];
  readonly #received = new PacketHeader();
  readonly #outgoing = new PacketHeader();

  #guestCid: Cid;
  /** `refreshing`: after TRANSPORT_RESET, until the guest CID has been read again: no packet goes in or out. */
  #phase: "live" | "refreshing" | "failed" | "closed" = "live";
  #failure: string | undefined;
  #memoryReturned = false;
  #memoryTimer: Timer | undefined;
  #ringFullSince = -1;
  #resetting: Promise<void> | undefined;

  constructor(parts: DriverParts) {
    this.#settings = parts.settings;
    this.#device = parts.device;
    this.#interrupts = parts.interrupts;
    this.#guestCid = parts.guestCid;
    this.memory = parts.device.transport.memory;
    this.#stats = parts.stats;
    this.#rx = parts.rx;
    this.#events = parts.events;
    this.#packets = parts.packets;
    this.#ringBuffers = parts.ringBuffers;
    this.#wake = parts.wake;
    this.#ports = new EphemeralPorts(parts.settings.ephemeralPorts);
    this.#tx = parts.tx;
    this.#tx.onChunkReturned = (chunk) => this.chunkReturned(chunk);
  }

  get guestCid(): Cid {
    return this.#guestCid;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  get stats(): VsockDriverStats {
    this.#stats.notificationsSent = this.#device.notificationsSent;
    this.#stats.notificationsSuppressed = this.#device.notificationsSuppressed;
    return this.#stats;
  }

  // --- what users call -----------------------------------------------------------------------------------------------

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
    if (this.#connections.size >= this.#settings.maxConnections) {
      throw new SystemError(Errno.ENOBUFS, "connect", `there are ${this.#connections.size} connections, the maximum`);
    }
    const port = options.localPort ?? this.#ephemeralPort("connect");
    if (this.#connections.find(peer.cid, peer.port, port) !== undefined) {
      const pair = `port ${port} to ${peer.cid}:${peer.port}`;
      throw new SystemError(Errno.EADDRINUSE, "connect", `a connection from ${pair} exists, or is closing`);
    }
    const { bufAlloc, counterStart, connectTimeoutMs, clock } = this.#settings;
    const connection = this.#add(port, peer, Endpoint.connecting(bufAlloc, counterStart));
    const timeoutMs = options.timeoutMs ?? connectTimeoutMs;
    if (timeoutMs < Number.POSITIVE_INFINITY) {
      connection.timer = clock.after(timeoutMs, () => this.#timeOut(connection));
    }
    return connection;
  }

  async close(): Promise<void> {
    if (this.#phase === "live" || this.#phase === "refreshing") this.#end("closed");
    this.#phase = "closed";
    for (const listener of [...this.#listeners.values()]) listener.close();
    await this.#resetting;
    this.#tell();
  }

  // --- the loop ------------------------------------------------------------------------------------------------------

  poll(): boolean {
    if (this.#phase === "failed" || this.#phase === "closed") return this.#tell();
    let worked = this.#lookAtConfig();
    worked = this.#reclaim() || worked;
    worked = this.#serveEvents() || worked;
    if (this.#phase === "live") {
      worked = this.#receive() || worked;
      worked = this.#wakeMemoryWaiters() || worked;
      worked = this.#send() || worked;
    }
    worked = this.#publish() || worked;
    if (this.#isBroken()) return this.#tell() || worked;
    worked = this.#tell() || worked;
    // What the users did just now: buffers given back, packets handed over.
    this.#publish();
    return worked;
  }

  arm(): boolean {
    if (this.#news.length > 0 || this.#acceptable.length > 0 || this.#returned.length > 0) return true;
    if (this.#phase === "failed" || this.#phase === "closed") return false;
    if (this.#rx.hasUnpublished || this.#tx.hasUnpublished || this.#events.hasUnpublished) return true;
    let work = this.#device.queue(EVENT).armUsedNotifications();
    if (this.#phase === "refreshing") return work;
    // While strangers' RSTs fill their list, RX waits for TX, and has nothing to say.
    if (!this.#owedResets.full) work = this.#device.queue(RX).armUsedNotifications() || work;
    const waitsForTx = !this.#tx.hasRoom || this.#tx.holdsLent || this.#memoryWaiters.length > 0;
    if (waitsForTx) work = this.#device.queue(TX).armUsedNotifications() || work;
    return work || (this.#tx.hasRoom && this.#hasToSend);
  }

  get #hasToSend(): boolean {
    return this.#senders.length > 0 || this.#owedResets.length > 0;
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

  // --- receiving -----------------------------------------------------------------------------------------------------

  #receive(): boolean {
    const queue = this.#device.queue(RX);
    // Once around the ring at most: what is posted again meanwhile waits for the next poll.
    let left = this.#rx.count;
    for (; left > 0 && !this.#owedResets.full; left--) {
      const buffer = this.#rx.next();
      if (buffer === undefined) break;
      this.#packet(buffer, this.#rx.usedLength);
    }
    if (left === this.#rx.count) return false;
    queue.suppressUsedNotifications();
    return true;
  }

  #packet(buffer: RxBuffer, usedLength: number): void {
    const header = this.#received;
    this.#stats.rxPackets++;
    if (usedLength < HEADER_SIZE) {
      this.#drop(buffer, "a packet shorter than its header", usedLength);
      return;
    }
    readHeader(this.memory, buffer.headerAddress, header);
    // §5.10.4: "The upper 32 bits of src_cid and dst_cid are reserved and zeroed."
    if (header.srcCidHigh !== 0 || header.dstCidHigh !== 0 || header.dstCid !== this.#guestCid) {
      this.#drop(buffer, "a packet for another CID", header.dstCid);
      return;
    }
    if (header.op === Op.Rst) this.#stats.resetsReceived++;
    const connection =
      header.type === SocketType.Stream
        ? this.#connections.find(header.srcCid, header.srcPort, header.dstPort)
        : undefined;
    if (connection === undefined) {
      // §5.10.6.2: RST for an unknown type; §5.10.6.5: for a port where nobody listens, and for strangers.
      const wanted = header.type === SocketType.Stream && header.op === Op.Request;
      if (!wanted || !this.#accept(header)) this.#owedResets.add(header);
      this.#rx.post(buffer);
      return;
    }
    const payload = header.op === Op.Rw ? header.len : 0;
    if (payload > usedLength - HEADER_SIZE) {
      this.#settings.log.warn("vsock: a packet claims more payload than came with it", {
        claimed: payload,
        came: usedLength - HEADER_SIZE,
      });
      this.#rx.post(buffer);
      this.signalled(connection, connection.endpoint.request("violation"));
      return;
    }
    const signals = connection.endpoint.receive(header, payload);
    if ((signals & Signal.Data) !== 0) this.#keep(connection, buffer, payload);
    else this.#rx.post(buffer);
    this.signalled(connection, signals);
  }

  #drop(buffer: RxBuffer, what: string, value: number): void {
    this.#settings.log.debug(`vsock: dropped ${what}`, { value });
    this.#rx.post(buffer);
  }

  /**
   * Keeps received bytes where they are as long as the ring has buffers to spare: a connection that is not read holds
   * a quarter of them, all together three quarters; beyond that, bytes move to private memory.
   */
  #keep(connection: Connection, buffer: RxBuffer, payload: number): void {
    this.#stats.rxPayloadBytes += payload;
    const share = Math.max(1, this.#rx.count >>> 2);
    if (connection.receiving.held < share && this.#rx.posted >= share) {
      connection.receiving.hold(buffer, payload);
      return;
    }
    connection.receiving.copy(buffer, payload);
    this.#rx.post(buffer);
  }

  /** A REQUEST; `false` refuses it. */
  #accept(request: PacketHeader): boolean {
    const listener = this.#listeners.get(request.dstPort);
    if (listener === undefined || listener.full) return false;
    if (this.#connections.size >= this.#settings.maxConnections) return false;
    const { bufAlloc, counterStart } = this.#settings;
    const peer: VsockAddress = { cid: request.srcCid as Cid, port: request.srcPort as Port };
    const connection = this.#add(listener.port, peer, Endpoint.accepting(request, bufAlloc, counterStart));
    connection.waitsFor = listener;
    listener.add(connection);
    this.#countOpened(connection);
    if (!this.#acceptable.includes(listener)) this.#acceptable.push(listener);
    return true;
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  #send(): boolean {
    let sent = false;
    while (this.#hasToSend && this.#haveRoom()) {
      sent = true;
      if (this.#owedResets.take(this.#outgoing)) {
        this.#outgoing.srcCid = this.#guestCid;
        this.#tx.sendControl(this.#outgoing);
        this.#stats.resetsSent++;
        continue;
      }
      const connection = this.#senders.next();
      if (connection !== undefined && this.#sendOne(connection)) this.#senders.add(connection);
    }
    return sent;
  }

  /** Takes back what the device has used; memory comes back with it. */
  #reclaim(): boolean {
    if (this.#tx.reclaim() === 0) return false;
    this.#memoryReturned = true;
    this.#device.queue(TX).suppressUsedNotifications();
    return true;
  }

  /** Room in the ring; keeps the account of when there was none. */
  #haveRoom(): boolean {
    if (this.#tx.hasRoom || (this.#reclaim() && this.#tx.hasRoom)) {
      if (this.#ringFullSince >= 0) {
        this.#stats.ringFullMs += this.#settings.clock.now() - this.#ringFullSince;
        this.#ringFullSince = -1;
      }
      return true;
    }
    if (this.#ringFullSince < 0) {
      this.#ringFullSince = this.#settings.clock.now();
      this.#stats.ringFullStalls++;
    }
    return false;
  }

  /** One packet of one connection. Whether it has another. */
  #sendOne(connection: Connection): boolean {
    const { endpoint } = connection;
    const header = this.#outgoing;
    const chunk = connection.sending.first;
    let limit = chunk === undefined ? 0 : Math.min(chunk.remaining, MAX_PAYLOAD);
    let ringBuffer: PacketBuffer | undefined;
    if (chunk?.source.kind === "packet" && connection.txPath === "two-copy" && endpoint.wantsToSendData) {
      ringBuffer = this.#ringBuffers.take(limit);
      if (ringBuffer !== undefined) limit = Math.min(limit, ringBuffer.capacity);
      else if (this.#ringBuffers.out > 0) {
        // One comes back with the next used packet: not lost, and not first in line any more.
        this.#memoryWaiters.add(connection);
        limit = 0;
      } // With no memory for any, the packet goes as it is: one copy less, as the counters will show.
    }
    const op = endpoint.take(header, limit);
    if (op === 0) {
      if (ringBuffer !== undefined) this.#ringBuffers.put(ringBuffer);
      this.#account(connection);
      return false;
    }
    header.srcCid = this.#guestCid;
    header.dstCid = connection.peerCid;
    header.srcPort = connection.localPort;
    header.dstPort = connection.peerPort;
    header.type = SocketType.Stream;
    if (op === Op.Rw && chunk !== undefined) {
      this.#stats.txPayloadBytes += header.len;
      if (ringBuffer === undefined) this.#tx.sendInPlace(header, chunk);
      else this.#tx.sendCopied(header, chunk, ringBuffer);
      connection.sending.advance(header.len);
      if (chunk.over && chunk.inRing === 0) this.chunkReturned(chunk);
      if (connection.wantsWrite && connection.canWrite()) this.announce(connection, News.Writable);
    } else {
      if (ringBuffer !== undefined) this.#ringBuffers.put(ringBuffer);
      this.#tx.sendControl(header);
      this.#controlSent(connection, op);
    }
    this.#account(connection);
    return endpoint.wantsToSend && (limit > 0 || !endpoint.wantsToSendData);
  }

  #controlSent(connection: Connection, op: Op): void {
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
        if (connection.endpoint.state.kind === "closing") this.#startCloseTimer(connection);
        break;
      default:
        break;
    }
  }

  // --- connections ---------------------------------------------------------------------------------------------------

  #add(port: Port, peer: VsockAddress, endpoint: Endpoint): Connection {
    const local: VsockAddress = { cid: this.#guestCid, port };
    const connection = new Connection(this, local, peer, endpoint, this.#settings.txPath);
    this.#connections.add(connection);
    this.#senders.add(connection);
    return connection;
  }

  signalled(connection: Connection, signals: number): void {
    let news = 0;
    if ((signals & Signal.Connected) !== 0) {
      connection.timer?.cancel();
      this.#countOpened(connection);
      news |= News.Connected;
    }
    if ((signals & (Signal.Data | Signal.InboundEnded)) !== 0) news |= News.Readable;
    if ((signals & Signal.OutboundRefused) !== 0) {
      connection.dropQueued();
      news |= News.Writable;
    }
    if ((signals & Signal.Credit) !== 0) this.#creditCame(connection);
    if ((signals & Signal.Closed) !== 0) this.#closed(connection);
    if (news !== 0) this.announce(connection, news);
    this.#settle(connection);
  }

  /** After something happened to a connection: also, has it something to send? */
  #settle(connection: Connection): void {
    this.#account(connection);
    if (connection.endpoint.wantsToSend) this.#senders.add(connection);
  }

  /** Is it over, is it out of credit? */
  #account(connection: Connection): void {
    const { endpoint } = connection;
    if (endpoint.finished) this.#connections.remove(connection);
    if (connection.creditStalledAt < 0 && endpoint.blockedOnCredit) {
      connection.creditStalledAt = this.#settings.clock.now();
      this.#stats.creditStalls++;
    }
  }

  #creditCame(connection: Connection): void {
    connection.askTimer?.cancel();
    connection.askTimer = undefined;
    connection.askDelayMs = 0;
    this.#endCreditStall(connection);
    if (connection.canWrite()) this.announce(connection, News.Writable);
  }

  #endCreditStall(connection: Connection): void {
    if (connection.creditStalledAt < 0) return;
    this.#stats.creditStallMs += this.#settings.clock.now() - connection.creditStalledAt;
    connection.creditStalledAt = -1;
  }

  #countOpened(connection: Connection): void {
    connection.counted = true;
    this.#stats.connectionsOpened++;
    this.#stats.connectionsOpen++;
  }

  #closed(connection: Connection): void {
    connection.timer?.cancel();
    connection.askTimer?.cancel();
    this.#endCreditStall(connection);
    connection.dropQueued();
    if (connection.counted) this.#stats.connectionsOpen--;
    connection.counted = false;
    if (connection.error !== 0) connection.waitsFor?.remove(connection);
    this.announce(connection, News.Readable | News.Writable | News.Closed);
  }

  #timeOut(connection: Connection): void {
    this.signalled(connection, connection.endpoint.request("timeout"));
    this.#wake();
  }

  #startCloseTimer(connection: Connection): void {
    connection.timer?.cancel();
    const { clock, closeTimeoutMs } = this.#settings;
    connection.timer = clock.after(closeTimeoutMs, () => this.#timeOut(connection));
  }

  /** Some peers answer a CREDIT_REQUEST, but do not tell by themselves when their user has read. */
  #askAgainLater(connection: Connection): void {
    connection.askTimer?.cancel();
    connection.askDelayMs = Math.min(ASK_AGAIN_MAX_MS, connection.askDelayMs * 2 || ASK_AGAIN_MS);
    connection.askTimer = this.#settings.clock.after(connection.askDelayMs, () => {
      if (!connection.endpoint.blockedOnCredit) return;
      connection.endpoint.askAgain();
      this.enlist(connection);
      this.#wake();
    });
  }

  closeListener(listener: Listener): void {
    if (this.#listeners.get(listener.port) === listener) this.#listeners.delete(listener.port);
  }

  #ephemeralPort(syscall: string): Port {
    const port = this.#ports.take((p) => this.#listeners.has(p) || this.#connections.usesLocalPort(p));
    if (port !== undefined) return port;
    const { first, last } = this.#settings.ephemeralPorts;
    throw new SystemError(Errno.EADDRNOTAVAIL, syscall, `all ports from ${first} to ${last} are in use`);
  }

  #requireAlive(syscall: string): void {
    if (this.#phase === "closed") throw new SystemError(Errno.ENETDOWN, syscall, "the driver is closed");
    if (this.#failure !== undefined) throw new SystemError(Errno.ENETDOWN, syscall, this.#failure);
  }

  // --- what connections ask for --------------------------------------------------------------------------------------

  takePacket(payload: number): PacketBuffer | undefined {
    return this.#packets.take(payload);
  }

  offerPacket(payload: number): number {
    return this.#packets.offer(payload);
  }

  repost(buffer: RxBuffer): void {
    this.#rx.post(buffer);
  }

  enlist(connection: Connection): void {
    this.#settle(connection);
  }

  sendNow(connection: Connection): void {
    // Not before those who wait for the ring.
    if (this.#phase !== "live" || this.#ringFullSince >= 0) {
      this.enlist(connection);
      return;
    }
    // A wish of the user may be granted from inside `tell` or between polls: never more than the ring takes.
    let more = true;
    while (more && this.#haveRoom()) more = this.#sendOne(connection);
    if (more) this.#senders.add(connection);
    this.#publish();
  }

  blockedOn(connection: Connection, what: "credit" | "memory"): void {
    if (what === "credit") {
      this.#settle(connection);
      return;
    }
    this.#memoryWaiters.add(connection);
    if (this.#packets.out > 0 || this.#memoryTimer !== undefined) return;
    this.#memoryTimer = this.#settings.clock.after(MEMORY_RETRY_MS, () => {
      this.#memoryTimer = undefined;
      this.#memoryReturned = true;
      this.#wake();
    });
  }

  announce(connection: Connection, news: number): void {
    connection.news |= news;
    this.#news.add(connection);
  }

  chunkReturned(chunk: SendChunk): void {
    const { source } = chunk;
    this.#memoryReturned = true;
    if (source.kind === "packet") this.#packets.put(source.buffer);
    else this.#endLoan(source.buffer, source.onReturned);
  }

  #endLoan(buffer: DmaBuffer, onReturned: (() => void) | undefined): void {
    buffer.giveBack();
    if (onReturned !== undefined) this.#returned.push(onReturned);
  }

  #wakeMemoryWaiters(): boolean {
    if (!this.#memoryReturned || this.#memoryWaiters.length === 0) return false;
    this.#memoryReturned = false;
    for (let left = this.#memoryWaiters.length; left > 0; left--) {
      const connection = this.#memoryWaiters.next();
      if (connection === undefined) break;
      this.#settle(connection);
      if (connection.canWrite()) this.announce(connection, News.Writable);
      else if (connection.wantsWrite && connection.endpoint.sendable > 0) this.blockedOn(connection, "memory");
    }
    return true;
  }

  // --- telling the users ---------------------------------------------------------------------------------------------

  /** Calls back; what happens meanwhile is told by the next poll. */
  #tell(): boolean {
    const told = this.#news.length + this.#acceptable.length + this.#returned.length;
    if (told === 0) return false;
    if (this.#returned.length > 0) {
      const returned = this.#returned;
      this.#returned = [];
      for (const callback of returned) this.#guard(callback);
    }
    if (this.#acceptable.length > 0) {
      const acceptable = this.#acceptable;
      this.#acceptable = [];
      for (const listener of acceptable) this.#guard(() => listener.onAcceptable?.());
    }
    for (let left = this.#news.length; left > 0; left--) {
      const connection = this.#news.next();
      if (connection !== undefined) this.#tellOne(connection);
    }
    return true;
  }

  #tellOne(connection: Connection): void {
    const { news } = connection;
    connection.news = 0;
    try {
      if ((news & News.Connected) !== 0) connection.listener.onConnected?.();
      if ((news & News.Readable) !== 0) connection.listener.onReadable?.();
      if ((news & News.Writable) !== 0 && connection.wantsWrite) {
        connection.wantsWrite = false;
        connection.listener.onWritable?.();
      }
      if ((news & News.Closed) !== 0) connection.listener.onClosed?.(connection.error);
    } catch (error) {
      this.#settings.log.error("vsock: a listener threw; its connection is reset", { reason: String(error) });
      connection.abort();
    }
  }

  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#settings.log.error("vsock: a callback threw", { reason: String(error) });
    }
  }

  // --- what the device does to us ------------------------------------------------------------------------------------

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
    this.#owedResets.clear();
    for (const connection of this.#connections.all()) {
      this.signalled(connection, connection.endpoint.request("transport-reset"));
      this.#connections.remove(connection); // also those that owed an RST: the peer is gone
    }
    this.#phase = "refreshing";
    this.#refreshCid().catch((error: unknown) => this.#fail(`the guest CID cannot be read: ${String(error)}`));
  }

  async #refreshCid(): Promise<void> {
    const cid = readGuestCid(await this.#device.readConfig(0, CONFIG_SIZE));
    if (this.#phase !== "refreshing") return;
    if (cid === undefined) {
      this.#fail("the device presents a reserved guest CID (§5.10.4)");
      return;
    }
    this.#guestCid = cid;
    this.#phase = "live";
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
    this.#failure = reason;
    this.#settings.log.error("vsock: the driver has failed", { reason });
    this.#end("failed");
    for (const listener of this.#listeners.values()) {
      if (!this.#acceptable.includes(listener)) this.#acceptable.push(listener);
    }
    this.#wake();
  }

  /** Ends every connection and resets the device: only then do lent buffers come back. */
  #end(phase: "failed" | "closed"): void {
    this.#phase = phase;
    this.#memoryTimer?.cancel();
    for (const connection of this.#connections.all()) {
      this.signalled(connection, connection.endpoint.request("peer-gone"));
      this.#connections.remove(connection);
    }
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
