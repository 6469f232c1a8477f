/** The RX ring, from the device's side: packets owed, then data, of one connection after the other, as the guest gives buffers. */
import type { GuestMemory } from "@toril/memory";
import type { Clock } from "@toril/virtio/platform";
import type { DeviceQueue } from "@toril/virtqueue";
import { HOST_CID } from "../address.ts";
import type { OwedResets } from "../connection/owed-resets.ts";
import type { StallClock } from "../connection/stall-clock.ts";
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
  readonly #clock: Clock;
  readonly #outgoing = new PacketHeader();
  readonly #bufferWait: StallClock;

  constructor(
    queue: DeviceQueue,
    memory: GuestMemory,
    clock: Clock,
    stats: MutableDeviceStats,
    connections: GuestConnections,
    owedResets: OwedResets,
  ) {
    this.rx = new RxWriter(queue, memory, stats);
    this.#bufferWait = stats.waits.buffers;
    this.#queue = queue;
    this.#clock = clock;
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
    while (this.hasToSend && this.#haveBuffer()) {
      sent = true;
      if (this.#owedResets.take(this.#outgoing)) {
        this.rx.end(this.#outgoing);
        continue;
      }
      const connection = this.#connections.senders.next();
      if (connection !== undefined && this.#sendOne(connection)) this.#connections.senders.add(connection);
    }
    if (sent) this.#queue.suppressAvailableNotifications();
    return sent;
  }

  /** A buffer of the guest's; keeps the account of when there was none. */
  #haveBuffer(): boolean {
    const { ready } = this.rx;
    if (ready) this.#bufferWait.end(this.#clock);
    else this.#bufferWait.begin(this.#clock);
    return ready;
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
    if (op === Op.CreditRequest) this.#connections.askAgainLater(connection);
    else if (op === Op.Shutdown && connection.endpoint.state.kind === "closing") {
      this.#connections.startCloseTimer(connection);
    }
  }

  /** Sends what can go at once, unless others are waiting for the guest's buffers. */
  sendNow(connection: GuestConnection): void {
    if (this.#connections.senders.length > 0) return;
    while (connection.endpoint.wantsToSend && this.#haveBuffer()) {
      if (!this.#sendOne(connection)) break;
    }
  }
}
