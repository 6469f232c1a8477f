/**
 * One core's end of the bus. A program sends bytes to a core and receives what cores sent to it; the kernel's own
 * messages (remote-threads.ts) go beside them. It is a Pollable of its core.
 *
 * A core that is gone takes nobody with it: the board says so, and every wait for it ends with EHOSTDOWN.
 */
import type { GuestMemory } from "@toril/memory";
import { type AbortSignalLike, Errno, type Log, type Pollable, SystemError } from "@toril/virtio/platform";
import type { BusCalls, BusMessage, ControlHandler } from "./bus-calls.ts";
import type { ChannelStats } from "./bus-channel.ts";
import { type BusPlace, HEADER_BYTES } from "./bus-layout.ts";
import { createPeer, type Peer } from "./bus-peer.ts";
import type { Core } from "./core.ts";
import type { CoreBoard } from "./core-board.ts";
import type { WaitOptions } from "./wait.ts";
import type { WaitQueue } from "./wait-queue.ts";

export interface BusEndOptions<System> {
  readonly core: Core<System>;
  readonly memory: GuestMemory;
  readonly place: BusPlace;
  readonly board: CoreBoard;
  readonly control?: ControlHandler;
  /** The supervisor asks this core to stop. */
  readonly onStopRequested?: () => void;
}

/** Messages taken from one channel in one poll: so that one busy peer leaves the others, and devices, their turn. */
const MESSAGES_PER_POLL = 32;
/** Messages that may wait for a program to receive them; then they stay in the rings, and senders wait. */
const INBOX_LIMIT = 64;

export class BusEnd<System> implements Pollable {
  readonly #core: Core<System>;
  readonly #log: Log;
  readonly #board: CoreBoard;
  readonly #place: BusPlace;
  readonly #peers: (Peer | undefined)[] = [];
  readonly #inbox: BusMessage[] = [];
  readonly #arrived: WaitQueue;
  readonly #control: ControlHandler | undefined;
  readonly #onStopRequested: () => void;
  /** The peer whose data is looked at first; moves on with every poll. */
  #first = 0;
  #boardSeen: number;
  #stopTold = false;
  /** Takes the messages instead of `receive`; called from `poll`, so it must be quick. */
  onMessage: ((message: BusMessage) => void) | undefined;

  constructor(options: BusEndOptions<System>) {
    const { core, memory, place, board } = options;
    this.#core = core;
    this.#log = core.log;
    this.#board = board;
    this.#place = place;
    this.#control = options.control;
    this.#onStopRequested = options.onStopRequested ?? (() => {});
    this.#arrived = core.createWaitQueue("receive");
    this.#boardSeen = board.changes - 1;
    const { shape } = place;
    for (let other = 0; other < shape.cores; other++) {
      if (other === core.id) {
        this.#peers.push(undefined);
        continue;
      }
      this.#peers.push(
        createPeer({ memory, place, own: core.id, other, bell: board.bell(other), room: core.createWaitQueue("send") }),
      );
    }
  }

  /** Data messages to and from each other core. */
  get stats(): readonly { readonly core: number; readonly sent: ChannelStats; readonly received: ChannelStats }[] {
    return this.#others().map(({ core, data }) => ({ core, sent: data.out.stats, received: data.in.stats }));
  }

  /** The calls for one thread. */
  callsFor({ signal }: { readonly signal?: AbortSignalLike } = {}): BusCalls {
    return {
      core: this.#core.id,
      cores: this.#place.shape.cores,
      maxMessage: this.maxMessage,
      send: (core, bytes, options) => this.#send(core, bytes, options, signal),
      trySend: (core, bytes) => this.trySend(core, bytes),
      receive: (options) => this.#receive(options, signal),
      tryReceive: () => this.tryReceive(),
    };
  }

  get maxMessage(): number {
    return this.#place.shape.data.slotBytes - HEADER_BYTES;
  }

  /** The longest kernel message. */
  get maxControlMessage(): number {
    return this.#place.shape.control.slotBytes - HEADER_BYTES;
  }

  trySend(core: number, bytes: Uint8Array): number {
    const peer = this.#peers[core];
    if (peer === undefined) return -Errno.EINVAL;
    if (bytes.length > this.maxMessage) return -Errno.EMSGSIZE;
    if (peer.state.kind === "gone") return -Errno.EHOSTDOWN;
    if (peer.data.out.trySend(0, bytes)) return bytes.length;
    return peer.data.out.broken === undefined ? -Errno.EAGAIN : -Errno.EIO;
  }

  tryReceive(): BusMessage | undefined {
    const message = this.#inbox.shift();
    // There is room again for what was left in the rings.
    if (message !== undefined && this.#inbox.length === INBOX_LIMIT - 1) this.#core.bell.ring();
    return message;
  }

  /** Why a core cannot be reached; `undefined`: it can. */
  unreachable(core: number): SystemError | undefined {
    const peer = this.#peers[core];
    if (peer === undefined) return new SystemError(Errno.EINVAL, "bus", `there is no other core ${core}`);
    if (peer.state.kind === "gone") return new SystemError(Errno.EHOSTDOWN, "bus", `core ${core} ${peer.state.reason}`);
    return undefined;
  }

  /**
   * For the kernel's own messages: sent in order, as soon as there is room.
   * @throws RangeError when it is longer than `maxControlMessage`.
   */
  sendControl(core: number, bytes: Uint8Array): void {
    if (bytes.length > this.maxControlMessage) throw new RangeError(`a kernel message of ${bytes.length} bytes`);
    const peer = this.#peers[core];
    if (peer === undefined || peer.state.kind === "gone") return;
    peer.outbox.push(bytes);
    this.#flush(peer);
  }

  poll(): boolean {
    const { length } = this.#peers;
    this.#first = (this.#first + 1) % length;
    let worked = false;
    for (let i = 0; i < length; i++) {
      const peer = this.#peers[(this.#first + i) % length];
      if (peer === undefined) continue;
      if (this.#takeControl(peer)) worked = true;
      if (this.#takeData(peer)) worked = true;
      if (peer.outbox.length > 0 && this.#flush(peer)) worked = true;
      if (peer.room.length > 0 && peer.data.out.reclaim()) {
        peer.room.wakeAll();
        worked = true;
      }
    }
    const changes = this.#board.changes;
    if (changes !== this.#boardSeen) {
      this.#boardSeen = changes;
      this.#lookAtBoard();
      worked = true;
    }
    return worked;
  }

  arm(): boolean {
    let found = this.#board.changes !== this.#boardSeen;
    for (const peer of this.#peers) {
      if (peer === undefined) continue;
      if (peer.control.in.arm()) found = true;
      // While the inbox is full the ring is left alone: its messages are no work that could be done now.
      if (this.#mayTakeData() && peer.data.in.arm()) found = true;
      if (peer.outbox.length > 0 && peer.control.out.arm()) found = true;
      if (peer.room.length > 0 && peer.data.out.arm()) found = true;
    }
    return found;
  }

  async #send(
    core: number,
    bytes: Uint8Array,
    options: WaitOptions = {},
    threadSignal?: AbortSignalLike,
  ): Promise<void> {
    const { clock } = this.#core;
    const deadline = clock.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    for (;;) {
      const outcome = this.trySend(core, bytes);
      if (outcome >= 0) return;
      const peer = this.#peers[core];
      if (outcome !== -Errno.EAGAIN || peer === undefined) throw this.#sendError(core, -outcome, bytes.length);
      const timeoutMs = deadline - clock.now();
      await peer.room.wait(timeoutMs === Number.POSITIVE_INFINITY ? options : { ...options, timeoutMs }, threadSignal);
    }
  }

  #sendError(core: number, errno: number, length: number): SystemError {
    if (errno === Errno.EMSGSIZE) {
      return new SystemError(errno, "send", `${length} bytes in one message: the bus takes up to ${this.maxMessage}`);
    }
    const broken = this.#peers[core]?.data.out.broken;
    return (
      this.unreachable(core) ?? new SystemError(errno, "send", `core ${core} broke the bus: ${broken ?? "unknown"}`)
    );
  }

  async #receive(options: WaitOptions = {}, threadSignal?: AbortSignalLike): Promise<BusMessage> {
    const { clock } = this.#core;
    const deadline = clock.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    for (;;) {
      const message = this.tryReceive();
      if (message !== undefined) return message;
      const timeoutMs = deadline - clock.now();
      await this.#arrived.wait(
        timeoutMs === Number.POSITIVE_INFINITY ? options : { ...options, timeoutMs },
        threadSignal,
      );
    }
  }

  #takeControl(peer: Peer): boolean {
    const channel = peer.control.in;
    let taken = 0;
    for (
      let bytes = channel.take();
      bytes !== undefined;
      bytes = taken < MESSAGES_PER_POLL ? channel.take() : undefined
    ) {
      taken++;
      this.#control?.message(peer.core, bytes);
    }
    if (taken > 0) channel.publish();
    return taken > 0;
  }

  #mayTakeData(): boolean {
    return this.onMessage !== undefined || this.#inbox.length < INBOX_LIMIT;
  }

  #takeData(peer: Peer): boolean {
    const channel = peer.data.in;
    let taken = 0;
    while (taken < MESSAGES_PER_POLL && this.#mayTakeData()) {
      const bytes = channel.take();
      if (bytes === undefined) break;
      taken++;
      const message = { from: peer.core, bytes };
      if (this.onMessage === undefined) this.#inbox.push(message);
      else this.#deliver(this.onMessage, message);
    }
    if (taken === 0) return false;
    channel.publish();
    for (let i = 0; i < taken; i++) this.#arrived.wakeOne();
    return true;
  }

  /** A handler is a program's: what it throws is reported, and stops no other message. */
  #deliver(handler: (message: BusMessage) => void, message: BusMessage): void {
    try {
      handler(message);
    } catch (error) {
      const fields = { core: this.#core.id, from: message.from, reason: String(error) };
      this.#log.error("a handler of bus messages failed", fields);
    }
  }

  #flush(peer: Peer): boolean {
    let any = false;
    for (let bytes = peer.outbox[0]; bytes !== undefined; bytes = peer.outbox[0]) {
      if (!peer.control.out.trySend(0, bytes)) break;
      peer.outbox.shift();
      any = true;
    }
    return any;
  }

  #lookAtBoard(): void {
    if (!this.#stopTold && this.#board.stopRequested(this.#core.id)) {
      this.#stopTold = true;
      this.#onStopRequested();
    }
    for (const peer of this.#others()) {
      if (peer.state.kind === "gone" || !this.#board.isGone(peer.core)) continue;
      // What it sent before it went still counts: how its threads ended, for one. The channel has a few slots at most,
      // and nobody fills them again.
      while (this.#takeControl(peer)) {}
      this.#lose(peer, this.#board.state(peer.core) === "dead" ? "is dead" : "has stopped");
    }
  }

  #lose(peer: Peer, reason: string): void {
    peer.state = { kind: "gone", reason };
    peer.outbox.length = 0;
    const waiting = peer.room.failAll(new SystemError(Errno.EHOSTDOWN, "send", `core ${peer.core} ${reason}`));
    if (reason === "is dead") this.#log.error("a core died", { core: this.#core.id, peer: peer.core, waiting });
    this.#control?.coreGone(peer.core, reason);
  }

  #others(): readonly Peer[] {
    return this.#peers.filter((peer) => peer !== undefined);
  }
}
