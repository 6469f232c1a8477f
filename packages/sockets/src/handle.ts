/**
 * One socket: its state, the waits that stand at it, and the door through which the driver's events come in. Every event
 * first serves the waits in order, then tells those who select.
 */
import { Errno, SystemError } from "@toril/virtio/platform";
import type { BorrowedBytes, ConnectionListener, Port, ReceivedBytes, VsockConnection } from "@toril/vsock";
import { applyOptions, type WantedOptions } from "./options.ts";
import type { PortTable } from "./ports.ts";
import type { SelectWait, Side } from "./select.ts";
import { Socket } from "./socket.ts";
import { CLOSED, type SocketState, UNCONNECTED } from "./socket-state.ts";
import { WaitQueue } from "./wait.ts";

/** To whom a socket is accounted. */
export interface SocketOwner {
  readonly sockets: Set<SocketHandle>;
  /** Why the driver is over: nothing will come any more. `undefined` while it lives. */
  readonly driverFailure: string | undefined;
}

/** For connections that nobody looks at any more: they end in the background. */
const NOBODY: ConnectionListener = {};
const NO_BYTES = new Uint8Array(0);
const NO_WATCHERS: ReadonlySet<SelectWait> = new Set();

export class SocketHandle extends Socket implements ConnectionListener {
  state: SocketState = UNCONNECTED;
  owner: SocketOwner;
  /** The port of `bind` or `listen`; kept until close. */
  boundPort: Port | undefined = undefined;
  readonly wanted: WantedOptions = {};
  /** SO_ERROR. */
  pendingError = 0;
  /** recv, peek, borrow and accept. */
  readonly readers: WaitQueue = new WaitQueue();
  readonly writers: WaitQueue = new WaitQueue();
  /** loansOver. */
  readonly lenders: WaitQueue = new WaitQueue();
  readonly #ports: PortTable;
  /** Whether this side has said that it takes no more. */
  #receiving: "open" | "shut" = "open";
  #readWatchers: Set<SelectWait> | undefined;
  #writeWatchers: Set<SelectWait> | undefined;

  constructor(owner: SocketOwner, ports: PortTable) {
    super();
    this.owner = owner;
    this.#ports = ports;
    owner.sockets.add(this);
  }

  // What would not wait now.

  /** Whether recv, or accept, would answer at once (with bytes, the end, or an error). */
  get readable(): boolean {
    const state = this.state;
    switch (state.kind) {
      case "connected": {
        const { connection } = state;
        return connection.readable > 0 || connection.receiveEnded || this.#receiving === "shut";
      }
      case "listening":
        return state.listener.pending > 0 || this.owner.driverFailure !== undefined;
      case "connecting":
        return false;
      default:
        return true;
    }
  }

  /** Whether send would answer at once; on a socket that connects: whether it is decided. */
  get writable(): boolean {
    const state = this.state;
    if (state.kind === "connecting") return false;
    if (state.kind !== "connected") return true;
    const { connection } = state;
    // Without room: a send of nothing says whether one would wait, or fail at once.
    return connection.writable > 0 || connection.trySend(NO_BYTES) < 0;
  }

  // The calls that never wait. They allocate nothing.

  tryRecv(target: Uint8Array): number {
    const state = this.state;
    if (state.kind !== "connected") return -this.#notConnected();
    // 0 would read as the end of the stream.
    if (target.length === 0) return -Errno.EINVAL;
    // Those who wait were first.
    if (this.readers.head !== undefined) return -Errno.EAGAIN;
    return state.connection.tryRecv(target);
  }

  tryPeek(target: Uint8Array): number {
    const state = this.state;
    if (state.kind !== "connected") return -this.#notConnected();
    if (target.length === 0) return -Errno.EINVAL;
    if (this.readers.head !== undefined) return -Errno.EAGAIN;
    return state.connection.tryPeek(target);
  }

  tryBorrow(): ReceivedBytes | undefined | number {
    const state = this.state;
    if (state.kind !== "connected") return -this.#notConnected();
    if (this.readers.head !== undefined) return -Errno.EAGAIN;
    return state.connection.tryBorrow();
  }

  tryBorrowInto(into: BorrowedBytes): number {
    const state = this.state;
    if (state.kind !== "connected") return -this.#notConnected();
    if (this.readers.head !== undefined) return -Errno.EAGAIN;
    return state.connection.tryBorrowInto(into);
  }

  trySend(bytes: Uint8Array): number {
    const state = this.state;
    if (state.kind !== "connected") return -this.#notConnected();
    // Bytes of one send are never parted by another's.
    if (this.writers.head !== undefined) return -Errno.EAGAIN;
    return state.connection.trySend(bytes);
  }

  sendRoom(): number {
    const state = this.state;
    if (state.kind !== "connected") return -this.#notConnected();
    if (this.writers.head !== undefined) return 0;
    const { connection } = state;
    const room = connection.lendable;
    if (room > 0) return room;
    // A send of nothing says whether one would wait, or fail at once.
    const refusal = connection.trySend(NO_BYTES);
    return refusal === -Errno.EAGAIN ? 0 : Math.min(refusal, 0);
  }

  /** The connection, or why there is none. */
  connected(): VsockConnection | number {
    return this.state.kind === "connected" ? this.state.connection : -this.#notConnected();
  }

  #notConnected(): typeof Errno.EBADF | typeof Errno.ENOTCONN {
    return this.state.kind === "closed" ? Errno.EBADF : Errno.ENOTCONN;
  }

  /** @throws SystemError EBADF */
  requireOpen(syscall: string): void {
    if (this.state.kind === "closed") throw new SystemError(Errno.EBADF, syscall, "the socket is closed");
  }

  /** Takes over an established connection. */
  establish(connection: VsockConnection): void {
    this.state = { kind: "connected", connection };
    connection.listener = this;
    applyOptions(connection, this.wanted);
  }

  /** Leaves an attempt to connect; the socket may try again. */
  giveUpConnecting(): void {
    if (this.state.kind !== "connecting") return;
    const { connection } = this.state;
    this.state = UNCONNECTED;
    connection.listener = NOBODY;
    connection.abort();
  }

  /** @throws SystemError ENOTCONN, EBADF */
  shutdown(how: "send" | "receive" | "both"): void {
    const connection = this.connected();
    if (typeof connection === "number") {
      throw new SystemError(-connection, "shutdown", "only a connected socket has directions to shut down");
    }
    if (how !== "send") this.#receiving = "shut";
    connection.shutdown(how);
    this.#changed();
  }

  /** Gives the socket back. Everyone who waits on it hears EBADF. */
  end(manner: "close" | "abort"): void {
    const state = this.state;
    if (state.kind === "closed") return;
    this.state = CLOSED;
    this.owner.sockets.delete(this);
    if (this.boundPort !== undefined) this.#ports.release(this.boundPort);
    const detail = "the socket was closed meanwhile";
    switch (state.kind) {
      case "listening":
        state.listener.onAcceptable = undefined;
        state.listener.close();
        break;
      case "connecting":
        state.connection.listener = NOBODY;
        state.connection.abort();
        state.wait?.fail(Errno.EBADF, detail);
        break;
      case "connected":
        state.connection.listener = NOBODY;
        if (manner === "close") state.connection.close();
        else state.connection.abort();
        break;
      case "unconnected":
        break;
      default:
        state satisfies never;
    }
    this.readers.failAll(Errno.EBADF, detail);
    this.writers.failAll(Errno.EBADF, detail);
    this.lenders.failAll(Errno.EBADF, detail);
    for (const wait of this.#readWatchers ?? NO_WATCHERS) wait.fail(Errno.EBADF, detail);
    for (const wait of this.#writeWatchers ?? NO_WATCHERS) wait.fail(Errno.EBADF, detail);
  }

  // Events of the driver.

  onConnected(): void {
    const state = this.state;
    if (state.kind !== "connecting") return;
    this.state = { kind: "connected", connection: state.connection };
    state.wait?.succeed();
    this.#changed();
  }

  onReadable(): void {
    this.readers.serve();
    this.announce("read");
  }

  onWritable(): void {
    this.writers.serve();
    this.announce("write");
  }

  onReturned(): void {
    this.lenders.serve();
  }

  onClosed(errno: number): void {
    const state = this.state;
    this.pendingError = errno;
    if (state.kind === "connecting") {
      this.state = UNCONNECTED;
      state.wait?.fail(errno === 0 ? Errno.ECONNRESET : errno, addressText(state.connection));
    }
    this.#changed();
    // What was received before can still be read; nothing else can happen to those who still wait.
    this.readers.failAll(errno === 0 ? Errno.ECONNRESET : errno);
    this.writers.failAll(errno === 0 ? Errno.EPIPE : errno);
  }

  /** Those who select on this side. */
  watchers(side: Side): Set<SelectWait> {
    if (side === "read") {
      this.#readWatchers ??= new Set();
      return this.#readWatchers;
    }
    this.#writeWatchers ??= new Set();
    return this.#writeWatchers;
  }

  announce(side: Side): void {
    const watchers = side === "read" ? this.#readWatchers : this.#writeWatchers;
    if (watchers === undefined || watchers.size === 0) return;
    for (const wait of watchers) wait.announce(this, side);
  }

  #changed(): void {
    this.readers.serve();
    this.writers.serve();
    this.announce("read");
    this.announce("write");
  }
}

function addressText({ peer }: VsockConnection): string {
  return `port ${peer.port} of CID ${peer.cid}`;
}
