/** The way in: each packet of the RX ring is checked, given to its connection's endpoint, and its bytes are kept. */
import type { DriverQueue } from "@toril/virtqueue";
import type { Cid, Port, VsockAddress } from "../address.ts";
import { Endpoint } from "../connection/endpoint.ts";
import type { OwedResets } from "../connection/owed-resets.ts";
import { Signal } from "../connection/signals.ts";
import { HEADER_SIZE, PacketHeader, readHeader } from "../wire/header.ts";
import { Op, SocketType } from "../wire/ops.ts";
import { countPacket } from "../wire/packet-counts.ts";
import type { Connection } from "./connection.ts";
import type { Connections, Identity } from "./connections.ts";
import type { Listener } from "./listener.ts";
import type { DriverSettings } from "./options.ts";
import type { Reporter } from "./reporter.ts";
import type { RxBuffer, RxRing } from "./rx-ring.ts";
import type { MutableStats } from "./stats.ts";
import type { Token } from "./token.ts";

export interface ReceiverParts {
  readonly settings: DriverSettings;
  readonly queue: DriverQueue<Token>;
  readonly rx: RxRing;
  readonly stats: MutableStats;
  readonly identity: Identity;
  readonly connections: Connections;
  /** By port. */
  readonly listeners: ReadonlyMap<number, Listener>;
  readonly owedResets: OwedResets;
  readonly reporter: Reporter;
}

export class Receiver {
  readonly #settings: DriverSettings;
  readonly #queue: DriverQueue<Token>;
  readonly #rx: RxRing;
  readonly #stats: MutableStats;
  readonly #identity: Identity;
  readonly #connections: Connections;
  readonly #listeners: ReadonlyMap<number, Listener>;
  readonly #owedResets: OwedResets;
  readonly #reporter: Reporter;
  readonly #received = new PacketHeader();

  constructor(parts: ReceiverParts) {
    this.#settings = parts.settings;
    this.#queue = parts.queue;
    this.#rx = parts.rx;
    this.#stats = parts.stats;
    this.#identity = parts.identity;
    this.#connections = parts.connections;
    this.#listeners = parts.listeners;
    this.#owedResets = parts.owedResets;
    this.#reporter = parts.reporter;
  }

  receive(): boolean {
    // Once around the ring at most: what is posted again meanwhile waits for the next poll.
    let left = this.#rx.count;
    for (; left > 0 && !this.#owedResets.full; left--) {
      const buffer = this.#rx.next();
      if (buffer === undefined) break;
      this.#packet(buffer, this.#rx.usedLength);
    }
    if (left === this.#rx.count) return false;
    this.#queue.suppressUsedNotifications();
    return true;
  }

  #packet(buffer: RxBuffer, usedLength: number): void {
    const header = this.#received;
    this.#stats.rxPackets++;
    if (usedLength < HEADER_SIZE) {
      this.#drop(buffer, "a packet shorter than its header", usedLength);
      return;
    }
    readHeader(this.#queue.memory, buffer.headerAddress, header);
    // §5.10.4: "The upper 32 bits of src_cid and dst_cid are reserved and zeroed."
    if (header.srcCidHigh !== 0 || header.dstCidHigh !== 0 || header.dstCid !== this.#identity.cid) {
      this.#drop(buffer, "a packet for another CID", header.dstCid);
      return;
    }
    countPacket(this.#stats.rxOps, header.op);
    const connection =
      header.type === SocketType.Stream
        ? this.#connections.table.find(header.srcCid, header.srcPort, header.dstPort)
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
      this.#connections.signalled(connection, connection.endpoint.request("violation"));
      return;
    }
    const signals = connection.endpoint.receive(header, payload);
    if ((signals & Signal.Data) !== 0) this.#keep(connection, buffer, payload);
    else this.#rx.post(buffer);
    this.#connections.signalled(connection, signals);
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
    if (this.#connections.table.size >= this.#settings.maxConnections) return false;
    const { bufAlloc, counterStart, creditUpdates } = this.#settings;
    const peer: VsockAddress = { cid: request.srcCid as Cid, port: request.srcPort as Port };
    const endpoint = Endpoint.accepting(request, bufAlloc, counterStart, creditUpdates);
    const connection = this.#connections.add(listener.port, peer, endpoint);
    connection.waitsFor = listener;
    listener.add(connection);
    this.#connections.countOpened(connection);
    this.#reporter.acceptable(listener);
    return true;
  }
}
