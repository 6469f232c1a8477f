/**
 * The way out: packets owed, then data, of one connection after the other, into the TX ring as long as it has room. Waits
 * for the ring, for credit and for packet memory are counted here.
 */
import type { Timer } from "@toril/virtio/platform";
import type { DriverQueue } from "@toril/virtqueue";
import { OwedResets } from "../connection/owed-resets.ts";
import { StallClock } from "../connection/stall-clock.ts";
import { Turns } from "../connection/turns.ts";
import { PacketHeader } from "../wire/header.ts";
import { MAX_PAYLOAD, Op, SocketType } from "../wire/ops.ts";
import { type Connection, News } from "./connection.ts";
import type { Connections, Identity } from "./connections.ts";
import type { LoanDesk } from "./loans.ts";
import type { DriverSettings } from "./options.ts";
import type { SendChunk } from "./packet.ts";
import type { PacketPool } from "./packet-pool.ts";
import type { Reporter } from "./reporter.ts";
import type { MutableStats } from "./stats.ts";
import type { Token } from "./token.ts";
import type { TxRing } from "./tx-ring.ts";

/** Out of guest memory that is not ours to wait for: look again after this, in milliseconds. */
const MEMORY_RETRY_MS = 10;

export interface TransmitterParts {
  readonly settings: DriverSettings;
  readonly queue: DriverQueue<Token>;
  readonly tx: TxRing;
  readonly packets: PacketPool;
  readonly ringBuffers: PacketPool;
  readonly stats: MutableStats;
  readonly identity: Identity;
  readonly connections: Connections;
  readonly loanDesk: LoanDesk;
  readonly reporter: Reporter;
  readonly wake: () => void;
  /** Shows the device what was handed over. */
  readonly publish: () => void;
}

export class Transmitter {
  /** RSTs owed to strangers. */
  readonly owedResets: OwedResets = new OwedResets();
  /** `paused`: nothing is handed over. */
  state: "open" | "paused" = "open";
  readonly #settings: DriverSettings;
  readonly #queue: DriverQueue<Token>;
  readonly #tx: TxRing;
  readonly #packets: PacketPool;
  readonly #ringBuffers: PacketPool;
  readonly #stats: MutableStats;
  readonly #identity: Identity;
  readonly #connections: Connections;
  readonly #loanDesk: LoanDesk;
  readonly #reporter: Reporter;
  readonly #wake: () => void;
  readonly #publish: () => void;
  /** Connections that wait for packet memory, and (on the two-copy path) those that wait for a buffer of the ring's. */
  readonly #memoryWaiters = new Turns<Connection>(4);
  readonly #copyWaiters = new Turns<Connection>(8);
  readonly #outgoing = new PacketHeader();
  #memoryReturned = false;
  /** Armed, and not polled since. */
  #asleep = false;
  #memoryTimer: Timer | undefined;
  readonly #ringWait = new StallClock();
  readonly #memoryWait = new StallClock();

  constructor(parts: TransmitterParts) {
    this.#settings = parts.settings;
    this.#queue = parts.queue;
    this.#tx = parts.tx;
    this.#packets = parts.packets;
    this.#ringBuffers = parts.ringBuffers;
    this.#stats = parts.stats;
    this.#identity = parts.identity;
    this.#connections = parts.connections;
    this.#reporter = parts.reporter;
    this.#wake = parts.wake;
    this.#publish = parts.publish;
    this.#loanDesk = parts.loanDesk;
    parts.stats.waits.ring = this.#ringWait;
    parts.stats.waits.memory = this.#memoryWait;
    this.#tx.onChunkReturned = (chunk) => this.chunkReturned(chunk);
  }

  get hasToSend(): boolean {
    return this.#connections.senders.length > 0 || this.owedResets.length > 0;
  }

  /** Asks the device to say when it has used packets, if somebody waits for that. `true`: do not sleep. */
  arm(): boolean {
    const waits = !this.#tx.hasRoom || this.#tx.holdsLent || this.#memoryWaits;
    const work = (waits && this.#queue.armUsedNotifications()) || (this.#tx.hasRoom && this.hasToSend);
    this.#asleep = !work;
    return work;
  }

  /** What is done outside of a turn may be the first to wait for used packets: the loop has to arm again. */
  #wakeToArm(): void {
    if (!this.#asleep) return;
    this.#asleep = false;
    this.#wake();
  }

  /** Stops the timers. */
  close(): void {
    this.state = "paused";
    this.#memoryTimer?.cancel();
  }

  send(): boolean {
    let sent = false;
    while (this.hasToSend && this.#haveRoom()) {
      sent = true;
      if (this.owedResets.take(this.#outgoing)) {
        this.#tx.sendControl(this.#outgoing);
        continue;
      }
      const connection = this.#connections.senders.next();
      if (connection !== undefined && this.#sendOne(connection)) this.#connections.senders.add(connection);
    }
    return sent;
  }

  /** Takes back what the device has used; memory comes back with it. */
  reclaim(): boolean {
    this.#asleep = false;
    if (this.#tx.reclaim() === 0) return false;
    this.#memoryReturned = true;
    this.#queue.suppressUsedNotifications();
    return true;
  }

  /** Room in the ring; keeps the account of when there was none. */
  #haveRoom(): boolean {
    if (this.#tx.hasRoom || (this.reclaim() && this.#tx.hasRoom)) {
      this.#ringWait.end(this.#settings.clock);
      return true;
    }
    this.#ringWait.begin(this.#settings.clock);
    return false;
  }

  /** One packet of one connection. Whether it has another. */
  #sendOne(connection: Connection): boolean {
    const { endpoint, sending } = connection;
    const { first } = sending;
    if (first?.packet !== undefined && connection.txPath === "two-copy" && endpoint.wantsToSendData) {
      return this.#sendTwice(connection, first);
    }
    const header = this.#outgoing;
    const limit = first === undefined ? 0 : sending.available(this.#tx.runsThatFit, MAX_PAYLOAD);
    const op = endpoint.take(header, limit);
    if (op === 0) {
      this.#connections.account(connection);
      return false;
    }
    this.#address(header, connection);
    if (op !== Op.Rw) {
      this.#sendControl(header, connection);
    } else {
      this.#stats.txPayloadBytes += header.len;
      this.#tx.sendInPlace(header, sending);
      for (let left = header.len; left > 0; ) left -= this.#advance(connection, left);
      this.#offerRoom(connection);
    }
    this.#connections.account(connection);
    return endpoint.wantsToSend;
  }

  /** The two-copy path: one packet, copied into a buffer of the ring's. */
  #sendTwice(connection: Connection, chunk: SendChunk): boolean {
    const { endpoint } = connection;
    const header = this.#outgoing;
    const wanted = Math.min(chunk.remaining, MAX_PAYLOAD);
    const ringBuffer = this.#ringBuffers.take(wanted);
    if (ringBuffer === undefined && this.#ringBuffers.out > 0) {
      // One comes back with the next used packet: until then only packets without payload go.
      this.#copyWaiters.add(connection);
      this.#memoryWait.begin(this.#settings.clock);
    }
    // With no memory for any ring buffer, the packet goes as it is: one copy less, as the counters will show.
    const inPlace = ringBuffer === undefined && this.#ringBuffers.out === 0;
    const op = endpoint.take(header, inPlace ? wanted : Math.min(wanted, ringBuffer?.capacity ?? 0));
    if (op !== 0) this.#address(header, connection);
    if (op === Op.Rw) {
      this.#stats.txPayloadBytes += header.len;
      if (ringBuffer === undefined) this.#tx.sendInPlace(header, connection.sending);
      else this.#tx.sendCopied(header, chunk, ringBuffer);
      this.#advance(connection, header.len);
      this.#offerRoom(connection);
    } else {
      if (ringBuffer !== undefined) this.#ringBuffers.put(ringBuffer);
      if (op !== 0) this.#sendControl(header, connection);
    }
    this.#connections.account(connection);
    const stuck = ringBuffer === undefined && !inPlace;
    return op !== 0 && endpoint.wantsToSend && !(stuck && endpoint.wantsToSendData);
  }

  #address(header: PacketHeader, connection: Connection): void {
    header.srcCid = this.#identity.cid;
    header.dstCid = connection.peerCid;
    header.srcPort = connection.localPort;
    header.dstPort = connection.peerPort;
    header.type = SocketType.Stream;
  }

  /** Up to `most` bytes of the first chunk are in the ring. How many those were. */
  #advance(connection: Connection, most: number): number {
    const chunk = connection.sending.first;
    if (chunk === undefined) throw new RangeError("more bytes were handed over than were queued");
    const bytes = Math.min(most, chunk.remaining);
    connection.sending.advance(bytes);
    if (chunk.over && chunk.inRing === 0) this.chunkReturned(chunk);
    return bytes;
  }

  #offerRoom(connection: Connection): void {
    if (connection.canWrite()) this.#reporter.announce(connection, News.Writable);
    // It waited for its own queue, and now for memory: nobody else would ever tell it.
    else if (connection.waitsForMemory) this.blockedOn(connection, "memory");
  }

  #sendControl(header: PacketHeader, connection: Connection): void {
    this.#tx.sendControl(header);
    this.#controlSent(connection, header.op);
  }

  #controlSent(connection: Connection, op: number): void {
    if (op === Op.CreditRequest) this.#connections.askAgainLater(connection);
    else if (op === Op.Shutdown && connection.endpoint.state.kind === "closing")
      this.#connections.awaitReset(connection);
  }

  sendNow(connection: Connection): void {
    // Not before those who wait for the ring.
    if (this.state === "paused" || this.#ringWait.running) {
      this.#connections.settle(connection);
      return;
    }
    // A wish of the user may be granted from inside `tell` or between polls: never more than the ring takes.
    let more = true;
    while (more && this.#haveRoom()) more = this.#sendOne(connection);
    if (more) this.#connections.senders.add(connection);
    this.#publish();
    if (more || this.#tx.holdsLent) this.#wakeToArm();
  }

  blockedOn(connection: Connection, what: "credit" | "memory"): void {
    if (what === "credit") {
      this.#connections.settle(connection);
      return;
    }
    this.#memoryWaiters.add(connection);
    this.#memoryWait.begin(this.#settings.clock);
    this.#wakeToArm();
    if (this.#packets.out > 0 || this.#memoryTimer !== undefined) return;
    this.#memoryTimer = this.#settings.clock.after(MEMORY_RETRY_MS, () => {
      this.#memoryTimer = undefined;
      this.#memoryReturned = true;
      this.#wake();
    });
  }

  chunkReturned(chunk: SendChunk): void {
    if (chunk.packet === undefined) {
      this.#loanDesk.takeBack(chunk);
    } else {
      this.#memoryReturned = true;
      this.#packets.put(chunk.packet);
    }
  }

  get #memoryWaits(): boolean {
    return this.#memoryWaiters.length + this.#copyWaiters.length > 0;
  }

  /**
   * Wakes as many as there are packets for: all of them would run for one, and a thousand try in vain. The others have
   * their turn in the next poll, with what those left.
   */
  wakeMemoryWaiters(): boolean {
    if (!this.#memoryReturned || !this.#memoryWaits) return false;
    for (let left = this.#copyWaiters.length; left > 0; left--) {
      const connection = this.#copyWaiters.next();
      if (connection !== undefined) this.#connections.settle(connection);
    }
    let packets = this.#packets.available;
    let left = this.#memoryWaiters.length;
    for (; left > 0 && packets > 0; left--) {
      const connection = this.#memoryWaiters.next();
      if (connection === undefined) break;
      this.#connections.settle(connection);
      if (connection.canWrite()) {
        packets--;
        this.#reporter.announce(connection, News.Writable);
      } else if (connection.waitsForMemory) {
        this.blockedOn(connection, "memory");
      }
    }
    this.#memoryReturned = left > 0 && this.#packets.available > 0;
    if (!this.#memoryWaits) this.#memoryWait.end(this.#settings.clock);
    return true;
  }
}
