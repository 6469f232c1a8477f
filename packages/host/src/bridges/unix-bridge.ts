/**
 * A Unix socket as the host's door to vsock, in Firecracker's scheme (vhost-device-vsock has the same):
 *
 *   host → guest: connect to PATH, send `CONNECT <port>\n`, wait for `OK <n>\n`, then bytes
 *   guest → host: a connection to host port N goes to the Unix socket PATH_N, where somebody of the host listens
 */
import { lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Log, silentLog } from "@toril/virtio/platform";
import { PORT_ANY, port } from "@toril/vsock";
import type { GuestStream, HostHandler, VsockDevice } from "@toril/vsock/device";
import { BridgeError } from "./bridge-error.ts";
import { readConnectLine } from "./connect-line.ts";
import { type CloseOptions, Connections, listening, stopped } from "./connections.ts";
import { type BridgeStats, emptyBridgeStats, SocketBridge } from "./socket-bridge.ts";

export interface UnixBridgeOptions {
  readonly device: Pick<VsockDevice, "connect" | "listen">;
  /** The Unix socket to make. One that nobody listens on any more is replaced. */
  readonly path: string;
  /** Connections at a time, both directions together; 1,024 unless told. */
  readonly maxConnections?: number;
  /** How long a client may take to send its line; 10 s unless told. */
  readonly lineTimeoutMs?: number;
  readonly log?: Log;
}

export class UnixBridge {
  readonly path: string;
  readonly stats: BridgeStats = emptyBridgeStats();
  readonly #options: UnixBridgeOptions;
  readonly #log: Log;
  readonly #maxConnections: number;
  readonly #server: Server;
  readonly #connections = new Connections();
  #stopListening: (() => void) | undefined;

  constructor(options: UnixBridgeOptions) {
    this.path = options.path;
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#maxConnections = options.maxConnections ?? 1024;
    this.#server = createServer({ allowHalfOpen: true });
    this.#server.on("connection", (socket) => this.#greet(socket));
  }

  /** @throws BridgeError when the path is taken or cannot be made; SystemError EADDRINUSE when the device has a taker */
  static async start(options: UnixBridgeOptions): Promise<UnixBridge> {
    const bridge = new UnixBridge(options);
    await bridge.start();
    return bridge;
  }

  async start(): Promise<void> {
    await removeStale(this.path);
    try {
      await listening(this.#server, () => this.#server.listen(this.path));
    } catch (error) {
      throw BridgeError.from(error, this.path);
    }
    this.#server.on("error", (error) => this.#log.error("a Unix bridge failed", { reason: error.message }));
    try {
      this.#stopListening = this.#options.device.listen("any", (stream) => this.#fromGuest(stream));
    } catch (error) {
      await stopped(this.#server);
      throw error;
    }
  }

  get connections(): number {
    return this.#connections.size;
  }

  async close(options: CloseOptions = {}): Promise<void> {
    this.#stopListening?.();
    const gone = stopped(this.#server);
    await this.#connections.end(options);
    await gone;
  }

  // --- host → guest --------------------------------------------------------------------------------------------------

  #greet(socket: Socket): void {
    if (this.#connections.size >= this.#maxConnections) {
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    let seen: Uint8Array = new Uint8Array(0);
    const giveUp = (reason: string): void => {
      this.#log.debug("a client of the Unix socket was refused", { reason });
      socket.destroy();
    };
    const onError = (): void => {};
    const onEnd = (): void => giveUp("it ended before its line");
    socket.setTimeout(this.#options.lineTimeoutMs ?? 10_000, () => giveUp("no line in time"));
    socket.on("error", onError);
    socket.on("end", onEnd);
    const onData = (bytes: Uint8Array): void => {
      seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes]);
      const line = readConnectLine(seen);
      if (line.kind === "incomplete") return;
      if (line.kind === "bad") {
        giveUp(line.reason);
        return;
      }
      socket.removeListener("data", onData);
      socket.removeListener("end", onEnd);
      socket.setTimeout(0);
      socket.removeAllListeners("timeout");
      socket.pause();
      // What came behind the line is the guest's: it goes back to be read again.
      if (line.rest.length > 0) socket.unshift(line.rest);
      this.#toGuest(socket, line.port);
    };
    socket.on("data", onData);
  }

  #toGuest(socket: Socket, guestPort: number): void {
    const handler = (stream: GuestStream): HostHandler =>
      new SocketBridge({
        ...{ socket, stream, stats: this.stats },
        onOpened: () => void socket.write(`OK ${stream.hostPort}\n`, "latin1"),
      });
    try {
      this.#options.device.connect(port(guestPort), handler);
    } catch (error) {
      this.#log.warn("a connection could not be bridged", { reason: String(error) });
      socket.destroy();
    }
  }

  // --- guest → host --------------------------------------------------------------------------------------------------

  #fromGuest(stream: GuestStream): HostHandler | undefined {
    if (this.#connections.size >= this.#maxConnections || (stream.hostPort as number) === PORT_ANY) return undefined;
    const path = `${this.path}_${stream.hostPort}`;
    // Where nobody listens the guest is refused, not accepted and then reset.
    if (kindOf(path) !== "socket") return undefined;
    const socket = connect({ path, allowHalfOpen: true });
    socket.pause();
    this.#connections.add(socket);
    socket.once("error", (error) => this.#log.warn("a Unix socket failed", { path, reason: error.message }));
    return new SocketBridge({ socket, stream, stats: this.stats });
  }
}

function kindOf(path: string): "none" | "socket" | "other" {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return "none";
  return stat.isSocket() ? "socket" : "other";
}

/** Removes a socket file whose owner is gone; anything else stays. @throws BridgeError EADDRINUSE, EEXIST */
async function removeStale(path: string): Promise<void> {
  const kind = kindOf(path);
  if (kind === "none") return;
  if (kind === "other") throw new BridgeError("EEXIST", `cannot listen on ${path}: a file that is no socket is there`);
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  });
  if (answers) throw new BridgeError("EADDRINUSE", `cannot listen on ${path}: another program listens there`);
  unlinkSync(path);
}
