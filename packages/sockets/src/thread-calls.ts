/** The socket calls, bound to one thread: making, naming, connecting and ending sockets. transfer-calls.ts has the rest. */
import { type AbortSignalLike, type Clock, Errno, SystemError } from "@toril/virtio/platform";
import { type Cid, PORT_ANY, type Port, type VsockAddress, type VsockDriver, type VsockListener } from "@toril/vsock";
import type { ConnectOptions, SocketOptions, WaitOptions } from "./calls.ts";
import { SocketHandle, type SocketOwner } from "./handle.ts";
import type { OwnedSocketCalls } from "./layer.ts";
import { connectionOf, handleOf, refuse } from "./lookup.ts";
import { applyOptions, checkOption, optionsOf, type SettableOption } from "./options.ts";
import { checkedPort, type PortTable } from "./ports.ts";
import type { Socket } from "./socket.ts";
import { TransferCalls } from "./transfer-calls.ts";
import { canceled } from "./wait.ts";
import { AcceptWait, ConnectWait } from "./waits.ts";

/** Linux' SOMAXCONN before 5.4; enough for a burst, little enough to say no to a flood. */
const DEFAULT_BACKLOG = 128;
/** VMADDR_CID_ANY: names nobody. */
const CID_ANY = 0xffff_ffff;

export class ThreadSocketCalls extends TransferCalls implements OwnedSocketCalls, SocketOwner {
  readonly sockets: Set<SocketHandle> = new Set();
  readonly #driver: VsockDriver;
  readonly #ports: PortTable;
  readonly #onAbort: () => void = () => this.#cancelWaits();
  #life: "running" | "ended" = "running";

  constructor(driver: VsockDriver, clock: Clock, ports: PortTable, signal: AbortSignalLike | undefined) {
    super(clock, signal);
    this.#driver = driver;
    this.#ports = ports;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get openSockets(): number {
    return this.sockets.size;
  }

  get driverFailure(): string | undefined {
    return this.#driver.failure;
  }

  get waiting(): number {
    return this.waits.size;
  }

  closeAll(): number {
    this.#life = "ended";
    this.signal?.removeEventListener("abort", this.#onAbort);
    this.#cancelWaits();
    const left = this.sockets.size;
    for (const handle of this.sockets) handle.end("close");
    return left;
  }

  #cancelWaits(): void {
    for (const wait of this.waits) wait.cancel(this.signal?.reason);
  }

  // Making, naming and ending sockets.

  socket(): Socket {
    this.#requireRunning("socket");
    return new SocketHandle(this, this.#ports);
  }

  adopt(socket: Socket): void {
    const handle = handleOf(socket, "adopt");
    handle.requireOpen("adopt");
    this.#requireRunning("adopt");
    handle.owner.sockets.delete(handle);
    handle.owner = this;
    this.sockets.add(handle);
  }

  bind(socket: Socket, port?: number): void {
    const handle = handleOf(socket, "bind");
    handle.requireOpen("bind");
    if (handle.state.kind !== "unconnected" || handle.boundPort !== undefined) {
      throw new SystemError(Errno.EINVAL, "bind", "the socket has its address already");
    }
    handle.boundPort = this.#ports.bind(port);
  }

  listen(socket: Socket, backlog: number = DEFAULT_BACKLOG): void {
    const handle = handleOf(socket, "listen");
    handle.requireOpen("listen");
    if (handle.state.kind !== "unconnected") {
      throw new SystemError(Errno.EINVAL, "listen", `a socket that is ${handle.state.kind} cannot begin to listen`);
    }
    if (!Number.isInteger(backlog) || backlog < 1) {
      throw new SystemError(Errno.EINVAL, "listen", `a backlog of ${backlog}: use a whole number from 1 up`);
    }
    const listener = this.#driver.listen(handle.boundPort, backlog);
    if (handle.boundPort === undefined) {
      handle.boundPort = listener.port;
      this.#ports.note(listener.port);
    }
    handle.state = { kind: "listening", listener };
    listener.onAcceptable = () => handle.onReadable();
  }

  close(socket: Socket): void {
    const handle = handleOf(socket, "close");
    handle.requireOpen("close");
    handle.end("close");
  }

  abort(socket: Socket): void {
    const handle = handleOf(socket, "abort");
    handle.requireOpen("abort");
    handle.end("abort");
  }

  shutdown(socket: Socket, how: "send" | "receive" | "both"): void {
    handleOf(socket, "shutdown").shutdown(how);
  }

  getsockname(socket: Socket): VsockAddress {
    const handle = handleOf(socket, "getsockname");
    handle.requireOpen("getsockname");
    const { state } = handle;
    if (state.kind === "connected" || state.kind === "connecting") return state.connection.local;
    return { cid: this.#driver.guestCid, port: handle.boundPort ?? (PORT_ANY as Port) };
  }

  getpeername(socket: Socket): VsockAddress {
    return connectionOf(socket, "getpeername").peer;
  }

  getOption<K extends keyof SocketOptions>(socket: Socket, name: K): SocketOptions[K] {
    const handle = handleOf(socket, "getOption");
    handle.requireOpen("getOption");
    if (name === "error") {
      const error = handle.pendingError;
      handle.pendingError = 0;
      return error as SocketOptions[K];
    }
    const connection = handle.connected();
    const known = typeof connection === "number" ? handle.wanted : optionsOf(connection);
    const value = known[name as SettableOption];
    if (value === undefined) {
      throw new SystemError(Errno.ENOTCONN, "getOption", `${name} was not set: the driver decides it when it connects`);
    }
    return value as SocketOptions[K];
  }

  setOption<K extends SettableOption>(socket: Socket, name: K, value: SocketOptions[K]): void {
    const handle = handleOf(socket, "setOption");
    handle.requireOpen("setOption");
    checkOption(name, value);
    Object.assign(handle.wanted, { [name]: value });
    const connection = handle.connected();
    if (typeof connection !== "number") applyOptions(connection, handle.wanted);
  }

  // Getting connected.

  tryAccept(socket: Socket): Socket | undefined {
    const handle = handleOf(socket, "accept");
    const listener = listenerOf(handle);
    if (handle.readers.head !== undefined) return undefined;
    const accepted = this.#take(handle, listener);
    if (typeof accepted === "number") throw new SystemError(-accepted, "accept", this.#driver.failure);
    return accepted;
  }

  async accept(socket: Socket, options?: WaitOptions): Promise<Socket> {
    refuse("accept", this, options);
    const accepted = this.tryAccept(socket);
    if (accepted !== undefined) return accepted;
    const handle = handleOf(socket, "accept");
    const listener = listenerOf(handle);
    return new AcceptWait(this, handle.readers, () => this.#take(handle, listener), options).promise;
  }

  #take(listening: SocketHandle, listener: VsockListener): SocketHandle | undefined | number {
    const connection = listener.tryAccept();
    if (connection === undefined) return this.#driver.failure === undefined ? undefined : -Errno.ENETDOWN;
    const handle = new SocketHandle(this, this.#ports);
    Object.assign(handle.wanted, listening.wanted);
    handle.establish(connection);
    return handle;
  }

  tryConnect(socket: Socket, peer: { cid: number; port: number }, localPort?: number): number {
    const handle = handleOf(socket, "connect");
    const errno = connectErrno(handle);
    if (errno !== 0) return -errno;
    try {
      this.#startConnecting(handle, peer, localPort, undefined);
    } catch (error) {
      if (error instanceof SystemError) return -error.errno;
      throw error;
    }
    return handle.state.kind === "connected" ? 0 : -Errno.EINPROGRESS;
  }

  async connect(socket: Socket, peer: { cid: number; port: number }, options?: ConnectOptions): Promise<void> {
    refuse("connect", this, options);
    const handle = handleOf(socket, "connect");
    const errno = connectErrno(handle);
    if (errno !== 0) throw new SystemError(errno, "connect", `the socket is ${handle.state.kind}`);
    this.#startConnecting(handle, peer, options?.localPort, options?.timeoutMs);
    const { state } = handle;
    if (state.kind !== "connecting") return;
    const wait = new ConnectWait(this, () => handle.giveUpConnecting(), options);
    state.wait = wait;
    await wait.promise;
  }

  /** @throws SystemError EDESTADDRREQ, EINVAL, EADDRINUSE, EADDRNOTAVAIL, and why it failed when it did so at once. */
  #startConnecting(
    handle: SocketHandle,
    peer: { cid: number; port: number },
    localPort: number | undefined,
    timeoutMs: number | undefined,
  ): void {
    const to = destination(peer);
    const from = this.#localPort(handle, localPort);
    const connection = this.#driver.connect(to, {
      ...(from === undefined ? {} : { localPort: from }),
      ...(timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY ? {} : { timeoutMs }),
    });
    handle.pendingError = 0;
    if (connection.status === "closed") {
      throw new SystemError(connection.error || Errno.ECONNREFUSED, "connect", `port ${to.port} of CID ${to.cid}`);
    }
    handle.establish(connection);
    if (connection.status === "connecting") handle.state = { kind: "connecting", connection, wait: undefined };
  }

  #localPort(handle: SocketHandle, wanted: number | undefined): Port | undefined {
    if (wanted === undefined || wanted === handle.boundPort) return handle.boundPort;
    const chosen = checkedPort("connect", wanted);
    if (handle.boundPort !== undefined) {
      throw new SystemError(Errno.EINVAL, "connect", `the socket is bound to port ${handle.boundPort}, not ${chosen}`);
    }
    if (this.#ports.has(chosen)) {
      throw new SystemError(Errno.EADDRINUSE, "connect", `port ${chosen} is bound to another socket`);
    }
    return chosen;
  }

  #requireRunning(syscall: string): void {
    if (this.#life === "running") return;
    throw canceled(new SystemError(Errno.ECANCELED, syscall, "its thread has ended"), this.signal?.reason);
  }
}

/** @throws SystemError EINVAL, EBADF */
function listenerOf(handle: SocketHandle): VsockListener {
  handle.requireOpen("accept");
  if (handle.state.kind === "listening") return handle.state.listener;
  throw new SystemError(Errno.EINVAL, "accept", `the socket is ${handle.state.kind}: call listen first`);
}

function connectErrno(handle: SocketHandle): number {
  switch (handle.state.kind) {
    case "unconnected":
      return 0;
    case "connecting":
      return Errno.EALREADY;
    case "connected":
      return Errno.EISCONN;
    case "listening":
      return Errno.EINVAL;
    case "closed":
      return Errno.EBADF;
    default:
      return handle.state satisfies never;
  }
}

/** @throws SystemError EDESTADDRREQ, EINVAL */
function destination(peer: { cid: number; port: number }): VsockAddress {
  if (peer.cid === CID_ANY || peer.port === PORT_ANY) {
    throw new SystemError(Errno.EDESTADDRREQ, "connect", "the address names nobody: give a CID and a port");
  }
  if (!Number.isInteger(peer.cid) || peer.cid < 0 || peer.cid > CID_ANY) {
    throw new SystemError(Errno.EINVAL, "connect", `${peer.cid} is not a CID: use 0 to 4294967294`);
  }
  return { cid: peer.cid as Cid, port: checkedPort("connect", peer.port) };
}
