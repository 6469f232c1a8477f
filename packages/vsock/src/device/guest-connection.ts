/** One connection as the host's side holds it: the stream that the handler writes to, and the calls that the handler gets. */
import type { Timer } from "@toril/virtio/platform";
import type { Port } from "../address.ts";
import type { Endpoint } from "../connection/endpoint.ts";
import type { TableEntry } from "../connection/table.ts";
import type { TurnTaker } from "../connection/turns.ts";
import type { GuestBytes, GuestStream, HostHandler } from "./api.ts";
import type { BlockPool } from "./block-pool.ts";
import { Inbound, type InboundOwner } from "./inbound.ts";
import { Outbound } from "./outbound.ts";
import type { MutableDeviceStats } from "./stats.ts";

/** Calls owed to the handler; or-ed in `GuestConnection.calls`. */
export const Call = { Opened: 1, ReceiveEnded: 2, Drain: 4, End: 8, Closed: 16 } as const;

export interface GuestConnectionOwner {
  readonly blocks: BlockPool;
  now(): number;
  /** Something changed: it may have something to send, or to tell. */
  changed(connection: GuestConnection): void;
  /** Sends what can go at once, unless others are waiting for the guest's buffers. */
  sendNow(connection: GuestConnection): void;
  signalled(connection: GuestConnection, signals: number): void;
  handlerThrew(connection: GuestConnection, error: unknown): void;
}

export interface GuestConnectionOptions {
  readonly queueBytes: number;
  readonly maxHeads: number;
  readonly holdMs: number;
}

const noHandler: HostHandler = { data: (chunk) => chunk.release(), end() {}, drain() {}, closed() {} };

export class GuestConnection implements GuestStream, TableEntry, TurnTaker, InboundOwner {
  readonly peerCid: number;
  readonly peerPort: number;
  readonly localPort: number;
  readonly endpoint: Endpoint;
  readonly inbound: Inbound;
  readonly outbound: Outbound;
  handler: HostHandler = noHandler;
  turns = 0;
  calls = 0;
  timer: Timer | undefined;
  askTimer: Timer | undefined;
  askDelayMs = 0;
  counted = false;
  /** When it ran out of credit; -1: it has some, or nothing to send. */
  creditStalledAt = -1;
  #wantsDrain = false;
  /** `closed` was called: nothing follows. */
  #told = false;
  #ended = false;
  readonly #owner: GuestConnectionOwner;
  readonly stats: MutableDeviceStats;

  constructor(
    owner: GuestConnectionOwner,
    peer: { readonly cid: number; readonly port: number },
    hostPort: Port,
    endpoint: Endpoint,
    options: GuestConnectionOptions,
    stats: MutableDeviceStats,
  ) {
    this.#owner = owner;
    this.stats = stats;
    this.peerCid = peer.cid;
    this.peerPort = peer.port;
    this.localPort = hostPort;
    this.endpoint = endpoint;
    this.inbound = new Inbound(this, options.maxHeads, options.holdMs);
    this.outbound = new Outbound(options.queueBytes, owner.blocks);
  }

  // --- the stream ----------------------------------------------------------------------------------------------------

  get guestPort(): Port {
    return this.peerPort as Port;
  }

  get hostPort(): Port {
    return this.localPort as Port;
  }

  get writable(): number {
    return this.#mayWrite() ? this.outbound.room : 0;
  }

  write(bytes: Uint8Array): number {
    if (bytes.length === 0) return 0;
    if (!this.#mayWrite()) {
      this.#wantsDrain = this.endpoint.state.kind === "connecting";
      return 0;
    }
    const before = this.outbound.queued;
    this.outbound.beginWrite(bytes);
    this.endpoint.enqueue(bytes.length);
    this.#owner.sendNow(this);
    const refused = this.outbound.endWrite();
    // The endpoint has dropped its queue when the connection broke meanwhile; then nothing is left to take back.
    if (this.endpoint.queued >= refused) this.endpoint.retract(refused);
    this.stats.bytesQueuedToGuest += Math.max(0, this.outbound.queued - before);
    if (refused > 0) this.#wantsDrain = true;
    this.#owner.changed(this);
    return bytes.length - refused;
  }

  end(): void {
    this.#owner.signalled(this, this.endpoint.request("end-send"));
  }

  endReceive(): void {
    const signals = this.endpoint.request("end-receive");
    this.#dropBacklog();
    this.#owner.signalled(this, signals);
  }

  destroy(): void {
    const signals = this.endpoint.request("abort");
    this.#dropBacklog();
    this.#owner.signalled(this, signals);
  }

  // --- for the device ------------------------------------------------------------------------------------------------

  /** Queued bytes went out, or there is credit again: has the host waited for that? */
  offerDrain(): void {
    if (!this.#wantsDrain || !this.#mayWrite() || this.outbound.room === 0) return;
    this.#wantsDrain = false;
    this.calls |= Call.Drain;
  }

  /** Makes the calls that are owed. `end` and an orderly `closed` wait until the handler has been given every byte. */
  makeCalls(): void {
    const { calls } = this;
    const orderly = this.endpoint.state.kind !== "closed" || this.endpoint.state.errno === 0;
    const waiting = orderly && this.inbound.hasBacklog;
    this.calls = waiting ? calls & (Call.End | Call.Closed) : 0;
    if ((calls & Call.Opened) !== 0) this.#call(() => this.handler.opened?.());
    if ((calls & Call.ReceiveEnded) !== 0) this.#call(() => this.handler.receiveEnded?.());
    if ((calls & Call.Drain) !== 0) this.#call(() => this.handler.drain());
    if (waiting) return;
    if ((calls & Call.End) !== 0 && !this.#ended && orderly) {
      this.#ended = true;
      this.#call(() => this.handler.end());
    }
    if ((calls & Call.Closed) !== 0 && this.endpoint.state.kind === "closed") {
      const { errno } = this.endpoint.state;
      if (errno !== 0) this.inbound.drop();
      this.#call(() => this.handler.closed(errno));
      this.#told = true;
    }
  }

  now(): number {
    return this.#owner.now();
  }

  deliver(chunk: GuestBytes): boolean {
    if (this.#told) {
      chunk.release();
      return true;
    }
    // Bytes may come in the same poll as the answer that opens the connection: first things first.
    if ((this.calls & Call.Opened) !== 0) {
      this.calls &= ~Call.Opened;
      this.#call(() => this.handler.opened?.());
    }
    // Without a closure: this is the hot path.
    try {
      this.handler.data(chunk);
      return true;
    } catch (error) {
      this.#owner.handlerThrew(this, error);
      return false;
    }
  }

  released(bytes: number): void {
    this.endpoint.consumed(bytes);
    this.#owner.changed(this);
  }

  drained(): void {
    if (this.calls !== 0) this.#owner.changed(this);
  }

  #mayWrite(): boolean {
    const { state } = this.endpoint;
    return state.kind === "established" && state.outbound === "open";
  }

  #dropBacklog(): void {
    const bytes = this.inbound.drop();
    if (bytes > 0) this.endpoint.consumed(bytes);
  }

  /** A handler's bug costs its own connection, and nothing else. */
  #call(call: () => void): boolean {
    if (this.#told) return true;
    try {
      call();
      return true;
    } catch (error) {
      this.#owner.handlerThrew(this, error);
      return false;
    }
  }
}
