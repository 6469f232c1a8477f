/** The TX ring, from the device's side: each packet is checked, given to its connection's endpoint, and its bytes to the handler. */
import type { Chain, DeviceQueue } from "@toril/virtqueue";
import { type Cid, HOST_CID, type Port } from "../address.ts";
import { Endpoint } from "../connection/endpoint.ts";
import type { OwedResets } from "../connection/owed-resets.ts";
import { Signal } from "../connection/signals.ts";
import { HEADER_SIZE, PacketHeader, readHeader, readHeaderBytes } from "../wire/header.ts";
import { Op, SocketType } from "../wire/ops.ts";
import { countPacket } from "../wire/packet-counts.ts";
import type { HostHandler, HostPortHandler } from "./api.ts";
import type { GuestConnections } from "./guest-connections.ts";
import { HeldHeads } from "./held-heads.ts";
import type { DeviceSettings } from "./options.ts";
import type { MutableDeviceStats } from "./stats.ts";

/**
 * Payload that one poll takes; the rest waits for the next. A ring full of large packets is 16 MiB, which takes 10 ms to
 * write to sockets: too long for whoever shares the loop, such as a listener that accepts one connection per turn of it.
 */
const POLL_BYTES = 1_048_576;

export interface FromGuestParts {
  readonly tx: DeviceQueue;
  readonly settings: DeviceSettings;
  readonly stats: MutableDeviceStats;
  readonly identity: { readonly guestCid: Cid };
  readonly connections: GuestConnections;
  readonly listeners: ReadonlyMap<number | "any", HostPortHandler>;
  readonly owedResets: OwedResets;
}

/** Lives from `activate` to `reset`. */
export class FromGuest {
  readonly #tx: DeviceQueue;
  readonly #chain: Chain;
  readonly #heads: HeldHeads;
  readonly #settings: DeviceSettings;
  readonly #stats: MutableDeviceStats;
  readonly #identity: { readonly guestCid: Cid };
  readonly #connections: GuestConnections;
  readonly #listeners: ReadonlyMap<number | "any", HostPortHandler>;
  readonly #owedResets: OwedResets;
  readonly #header = new PacketHeader();
  readonly #scratch: Uint8Array = new Uint8Array(HEADER_SIZE);
  #unpublished = 0;
  #active = true;

  constructor(parts: FromGuestParts) {
    this.#tx = parts.tx;
    this.#chain = parts.tx.createChain();
    this.#settings = parts.settings;
    this.#stats = parts.stats;
    this.#identity = parts.identity;
    this.#connections = parts.connections;
    this.#listeners = parts.listeners;
    this.#owedResets = parts.owedResets;
    this.#heads = new HeldHeads(parts.tx, parts.stats, () => {
      this.#unpublished++;
    });
  }

  get hasUnpublished(): boolean {
    return this.#unpublished > 0;
  }

  published(): void {
    this.#unpublished = 0;
  }

  /** The device was reset: the ring must not be touched any more. */
  end(): void {
    this.#active = false;
    this.#heads.end();
  }

  takePackets(): boolean {
    const tx = this.#tx;
    const chain = this.#chain;
    // Once around the ring at most, so that a guest which never stops sending does not starve its own receiving.
    let left = tx.size;
    const enough = this.#stats.bytesFromGuest + POLL_BYTES;
    for (; left > 0 && !this.#owedResets.full && this.#active && this.#stats.bytesFromGuest < enough; left--) {
      if (!tx.next(chain)) break;
      this.#stats.packetsFromGuest++;
      this.#packet(chain);
    }
    if (left === tx.size) return false;
    if (this.#active) tx.suppressAvailableNotifications();
    return true;
  }

  #packet(chain: Chain): void {
    const header = this.#header;
    if (!this.#readHeader(chain) || !this.#isAddressed(header)) {
      this.#stats.malformedPackets++;
      this.#giveBack(chain);
      return;
    }
    if (header.dstCid !== HOST_CID) {
      this.#giveBack(chain);
      this.#refuseStranger(header);
      return;
    }
    countPacket(this.#stats.opsFromGuest, header.op);
    const known = header.type === SocketType.Stream;
    const connection = known ? this.#connections.table.find(header.srcCid, header.srcPort, header.dstPort) : undefined;
    if (connection === undefined) {
      this.#giveBack(chain);
      // §5.10.6.2.2: RST for an unknown type; §5.10.6.5: for a port where nobody listens, and for strangers.
      if (!known || header.op !== Op.Request || !this.#accept(header)) this.#owedResets.add(header);
      return;
    }
    const payload = header.op === Op.Rw ? header.len : 0;
    if (payload > chain.readableBytes - HEADER_SIZE) {
      this.#giveBack(chain);
      this.#connections.signalled(connection, connection.endpoint.request("violation"));
      return;
    }
    const signals = connection.endpoint.receive(header, payload);
    if ((signals & Signal.Data) !== 0) {
      this.#stats.bytesFromGuest += payload;
      connection.inbound.add(chain, payload, this.#heads);
    } else {
      this.#giveBack(chain);
    }
    this.#connections.signalled(connection, signals);
  }

  #readHeader(chain: Chain): boolean {
    if (chain.readableBytes < HEADER_SIZE) return false;
    if (chain.length(0) >= HEADER_SIZE) {
      readHeader(this.#tx.memory, chain.address(0), this.#header);
    } else {
      // §2.7.4: a device must not rely on how a packet is split over descriptors.
      chain.read(0, this.#scratch);
      readHeaderBytes(this.#scratch, 0, this.#header);
    }
    return true;
  }

  /** §5.10.6.4: the guest's packets come from its CID; the upper halves are zero (§5.10.4). */
  #isAddressed(header: PacketHeader): boolean {
    return header.srcCidHigh === 0 && header.dstCidHigh === 0 && header.srcCid === this.#identity.guestCid;
  }

  /**
   * A packet for a CID that is not the host's: there is nobody else here. Linux' vhost drops it, and a connect takes its
   * 2 s to fail; a REQUEST may be refused at once (§5.10.6.5: RST "to reject"), in the name of whom it was for.
   */
  #refuseStranger(header: PacketHeader): void {
    this.#stats.malformedPackets++;
    if (header.op === Op.Request) this.#owedResets.add(header);
  }

  #giveBack(chain: Chain): void {
    this.#tx.complete(chain.head, 0);
    this.#unpublished++;
  }

  /** A REQUEST; `false` refuses it. */
  #accept(request: PacketHeader): boolean {
    if (this.#connections.full) return false;
    const listener = this.#listeners.get(request.dstPort) ?? this.#listeners.get("any");
    if (listener === undefined) return false;
    const peer = { cid: request.srcCid, port: request.srcPort };
    const { bufAlloc, counterStart, creditUpdates, log } = this.#settings;
    const endpoint = Endpoint.accepting(request, bufAlloc, counterStart, creditUpdates);
    const connection = this.#connections.make(peer, request.dstPort as Port, endpoint);
    let handler: HostHandler | undefined;
    try {
      handler = listener(connection);
    } catch (error) {
      this.#stats.handlerErrors++;
      log.error("vsock: a host port's handler threw; the connection is refused", { reason: String(error) });
    }
    if (handler === undefined) {
      endpoint.request("peer-gone"); // whatever was written meanwhile goes nowhere; the caller sends RST
      return false;
    }
    connection.handler = handler;
    this.#connections.add(connection);
    return true;
  }
}
