/** The RX ring, from the device's side: packets owed, then data, of one connection after the other, as the guest gives buffers. */
import type { GuestMemory } from "@toril/memory";
import type { DeviceQueue } from "@toril/virtqueue";
import { HOST_CID } from "../address.ts";
import type { OwedResets } from "../connection/owed-resets.ts";
import { PacketHeader } from "../wire/header.ts";
import { MAX_PAYLOAD, Op, SocketType } from "../wire/ops.ts";
import type { GuestConnection } from "./guest-connection.ts";
import type { GuestConnections } from "./guest-connections.ts";
import { RxWriter } from "./rx-writer.ts";
import type { MutableDeviceStats } from "./stats.ts";

/** Lives from `activate` to `reset`. */
export class ToGuest {
  readonly rx: RxWriter;
  readonly #queue: DeviceQueue;
  readonly #stats: MutableDeviceStats;
  readonly #connections: GuestConnections;
  readonly #owedResets: OwedResets;
  readonly #outgoing = new PacketHeader();

  constructor(
    queue: DeviceQueue,
    memory: GuestMemory,
    stats: MutableDeviceStats,
    connections: GuestConnections,
    owedResets: OwedResets,
  ) {
    this.rx = new RxWriter(queue, memory, stats);
    this.#queue = queue;
    this.#stats = stats;
    this.#connections = connections;
    this.#owedResets = owedResets;
  }

  get hasToSend(): boolean {
    return this.#connections.senders.length > 0 || this.#owedResets.length > 0;
  }

  /** Asks the guest to say when it has given buffers, if somebody waits for them. `true`: do not sleep. */
  arm(): boolean {
    if (!this.hasToSend) return false;
    return this.#queue.armAvailableNotifications() || this.rx.ready;
  }

  sendPackets(): boolean {
    let sent = false;
    while (this.hasToSend && this.rx.ready) {
      sent = true;
      if (this.#owedResets.take(this.#outgoing)) {
        this.#outgoing.srcCid = HOST_CID;
        this.rx.end(this.#outgoing);
        this.#stats.resetsSent++;
        continue;
      }
      const connection = this.#connections.senders.next();
      if (connection !== undefined && this.#sendOne(connection)) this.#connections.senders.add(connection);
    }
    if (sent) this.#queue.suppressAvailableNotifications();
    return sent;
  }

  /** One packet of one connection. Whether it has another. */
  #sendOne(connection: GuestConnection): boolean {
    const { endpoint, outbound } = connection;
    const header = this.#outgoing;
    const op = endpoint.take(header, Math.min(this.rx.payloadRoom, MAX_PAYLOAD));
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
        this.rx.addPayload(run);
        left -= run.length;
      }
      this.#stats.bytesToGuest += header.len;
    }
    this.rx.end(header);
    if (op === Op.Rw) this.#connections.offerDrain(connection);
    else this.#controlSent(connection, op);
    this.#connections.forgetFinished(connection);
    return endpoint.wantsToSend;
  }

  #controlSent(connection: GuestConnection, op: Op): void {
    switch (op) {
      case Op.CreditUpdate:
        this.#stats.creditUpdatesSent++;
        break;
      case Op.CreditRequest:
        this.#stats.creditRequestsSent++;
        this.#connections.askAgainLater(connection);
        break;
      case Op.Rst:
        this.#stats.resetsSent++;
        break;
      case Op.Shutdown:
        if (connection.endpoint.state.kind === "closing") this.#connections.startCloseTimer(connection);
        break;
      default:
        break;
    }
  }

  /** Sends what can go at once, unless others are waiting for the guest's buffers. */
  sendNow(connection: GuestConnection): void {
    if (this.#connections.senders.length > 0) return;
    while (connection.endpoint.wantsToSend && this.rx.ready) {
      if (!this.#sendOne(connection)) break;
    }
  }
}
