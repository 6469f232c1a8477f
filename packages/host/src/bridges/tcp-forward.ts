/**
 * TCP on the host, vsock in the guest: every connection to an address of this machine becomes one to a port of the
 * guest. The event loop that runs this must be the one that polls the device.
 */
import { createServer, type Server, type Socket } from "node:net";
import { type Log, silentLog } from "@toril/virtio/platform";
import { type Port, port } from "@toril/vsock";
import type { GuestStream, VsockDevice } from "@toril/vsock/device";
import { BridgeError } from "./bridge-error.ts";
import { type CloseOptions, Connections, listening, reset, stopped } from "./connections.ts";
import { type BridgeStats, emptyBridgeStats, SocketBridge } from "./socket-bridge.ts";

export interface TcpForwardOptions {
  readonly device: Pick<VsockDevice, "connect">;
  /** Where to listen: 127.0.0.1 unless told, port 0 takes a free one. */
  readonly listen: { readonly host?: string; readonly port: number };
  readonly guestPort: number;
  /** Connections at a time; 1,024 unless told. More are closed at once. */
  readonly maxConnections?: number;
  /** How long the guest may take to accept; the device's default unless told. */
  readonly connectTimeoutMs?: number;
  readonly log?: Log;
}

/** Connections that the kernel keeps for us while the event loop is busy. */
const BACKLOG = 1024;

export class TcpForward {
  readonly stats: BridgeStats = emptyBridgeStats();
  readonly #options: TcpForwardOptions;
  readonly #guestPort: Port;
  readonly #log: Log;
  readonly #server: Server;
  readonly #connections = new Connections();

  /** Nothing listens before `start`. @throws RangeError for a port that is none */
  constructor(options: TcpForwardOptions) {
    this.#options = options;
    this.#guestPort = port(options.guestPort);
    this.#log = options.log ?? silentLog;
    // Each direction ends by itself; and no byte is read before the guest has accepted.
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    this.#server.maxConnections = options.maxConnections ?? 1024;
    this.#server.on("connection", (socket) => this.#accept(socket));
  }

  /** @throws BridgeError EADDRINUSE and the like, with one line that says what to do */
  static async start(options: TcpForwardOptions): Promise<TcpForward> {
    const forward = new TcpForward(options);
    await forward.start();
    return forward;
  }

  async start(): Promise<void> {
    const { host = "127.0.0.1", port: wanted } = this.#options.listen;
    try {
      await listening(this.#server, () => this.#server.listen({ host, port: wanted, backlog: BACKLOG }));
    } catch (error) {
      throw BridgeError.from(error, `${host}:${wanted}`);
    }
    this.#server.on("error", (error) => this.#log.error("a TCP forward failed", { reason: error.message }));
  }

  /** Where it listens. @throws Error when it does not */
  get address(): { host: string; port: number } {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("this forward does not listen: call start");
    return { host: address.address, port: address.port };
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Takes no new connections, lets those that exist end within the time of grace, then resets them. */
  async close(options: CloseOptions = {}): Promise<void> {
    const gone = stopped(this.#server);
    await this.#connections.end(options);
    await gone;
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket);
    const { device, connectTimeoutMs } = this.#options;
    try {
      device.connect(
        this.#guestPort,
        (stream: GuestStream) => new SocketBridge({ socket, stream, stats: this.stats }),
        connectTimeoutMs === undefined ? {} : { timeoutMs: connectTimeoutMs },
      );
    } catch (error) {
      this.#log.warn("a connection could not be forwarded", { reason: String(error) });
      reset(socket);
    }
  }
}
