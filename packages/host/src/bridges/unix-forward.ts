/**
 * TCP on the host, vsock in a guest whose device is somebody else's: every connection to an address of this machine
 * becomes one to the device's Unix socket, in Firecracker's scheme (vhost-device-vsock has the same):
 *
 *   connect to PATH, send `CONNECT <port>\n`, wait for `OK <n>\n`, then bytes
 *
 * vhost-device-vsock knows no half-close: an end of stream from the host shuts both directions, and cuts off an answer
 * that is under way. So a client's end of stream is passed on only when the guest has been silent for a while.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Log, silentLog } from "@toril/virtio/platform";
import { port } from "@toril/vsock";
import { BridgeError } from "./bridge-error.ts";
import { readOkLine } from "./connect-line.ts";
import { type CloseOptions, Connections, listening, reset, stopped } from "./connections.ts";

export interface UnixForwardOptions {
  /** The device's Unix socket. */
  readonly path: string;
  /** Where to listen: 127.0.0.1 unless told, port 0 takes a free one. */
  readonly listen: { readonly host?: string; readonly port: number };
  readonly guestPort: number;
  /** Connections at a time; 1,024 unless told. More are closed at once. */
  readonly maxConnections?: number;
  /** How long the guest may take to accept, in milliseconds; 10,000 unless told. */
  readonly connectTimeoutMs?: number;
  /** Silence of the guest after which a client's end of stream is passed on, in milliseconds; 1,000 unless told. */
  readonly quietMs?: number;
  readonly log?: Log;
}

/** Counters that only grow, but `open`. */
export interface UnixForwardStats {
  bytesFromGuest: number;
  bytesToGuest: number;
  opened: number;
  open: number;
  /** Connections that the guest did not take, or that the device's socket did not. */
  refused: number;
}

/** Connections that the kernel keeps for us while the event loop is busy. */
const BACKLOG = 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const QUIET_MS = 1_000;
/** How long a client may do nothing after the guest has closed. */
const LINGER_MS = 5_000;

export class UnixForward {
  readonly stats: UnixForwardStats = { bytesFromGuest: 0, bytesToGuest: 0, opened: 0, open: 0, refused: 0 };
  readonly #options: UnixForwardOptions;
  readonly #log: Log;
  readonly #server: Server;
  readonly #clients = new Connections();

  private constructor(options: UnixForwardOptions) {
    port(options.guestPort);
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    this.#server.maxConnections = options.maxConnections ?? 1024;
    this.#server.on("connection", (client) => this.#accept(client));
  }

  /**
   * @throws BridgeError EADDRINUSE and the like, with one line that says what to do
   * @throws RangeError for a guest port that is none
   */
  static async start(options: UnixForwardOptions): Promise<UnixForward> {
    const forward = new UnixForward(options);
    const { host = "127.0.0.1", port: wanted } = options.listen;
    try {
      await listening(forward.#server, () => forward.#server.listen({ host, port: wanted, backlog: BACKLOG }));
    } catch (error) {
      throw BridgeError.from(error, `${host}:${wanted}`);
    }
    forward.#server.on("error", (error) => forward.#log.error("a TCP forward failed", { reason: error.message }));
    return forward;
  }

  /** Where it listens. @throws Error when it does not */
  get address(): { host: string; port: number } {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("this forward does not listen");
    return { host: address.address, port: address.port };
  }

  get connections(): number {
    return this.#clients.size;
  }

  /** Takes no new connections, lets those that exist end within the time of grace, then resets them. */
  async close(options: CloseOptions = {}): Promise<void> {
    const gone = stopped(this.#server);
    await this.#clients.end(options);
    await gone;
  }

  #accept(client: Socket): void {
    this.#clients.add(client);
    const { path, guestPort, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const guest = connect({ path, allowHalfOpen: true });
    let seen: Uint8Array = new Uint8Array(0);
    const refuse = (reason: string): void => {
      clearTimeout(timer);
      this.stats.refused++;
      this.#log.debug("a connection could not be forwarded", { path, guestPort, reason });
      guest.destroy();
      reset(client);
    };
    const timer = setTimeout(refuse, connectTimeoutMs, `no answer within ${connectTimeoutMs} ms`);
    const onEnd = (): void => refuse("the device refused it");
    const onError = (error: Error): void => refuse(error.message);
    // A client that goes away meanwhile is nobody's any more.
    const onClientGone = (): void => {
      clearTimeout(timer);
      guest.destroy();
    };
    const onData = (bytes: Uint8Array): void => {
      seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes]);
      const line = readOkLine(seen);
      if (line.kind === "incomplete") return;
      if (line.kind === "bad") {
        refuse(line.reason);
        return;
      }
      clearTimeout(timer);
      guest.removeListener("data", onData).removeListener("end", onEnd).removeListener("error", onError);
      client.removeListener("close", onClientGone);
      guest.pause();
      if (line.rest.length > 0) guest.unshift(line.rest);
      this.#join(client, guest);
    };
    client.on("error", () => {}); // "close" follows, and does the work
    client.once("close", onClientGone);
    guest.on("data", onData).once("end", onEnd).once("error", onError);
    guest.write(`CONNECT ${guestPort}\n`, "latin1");
  }

  #join(client: Socket, guest: Socket): void {
    const { stats } = this;
    const { quietMs = QUIET_MS } = this.#options;
    stats.opened++;
    stats.open++;
    let silence: NodeJS.Timeout | undefined;
    const passOn = (): void => {
      // What waits for a slow client is no silence of the guest's.
      if (guest.isPaused()) silence?.refresh();
      else guest.end();
    };
    guest.on("error", () => {}); // "close" follows
    guest.on("data", (bytes: Uint8Array) => {
      stats.bytesFromGuest += bytes.length;
      silence?.refresh();
      if (!client.write(bytes)) guest.pause();
    });
    client.on("drain", () => guest.resume());
    client.on("data", (bytes: Uint8Array) => {
      stats.bytesToGuest += bytes.length;
      if (!guest.write(bytes)) client.pause();
    });
    guest.on("drain", () => client.resume());
    client.on("end", () => {
      if (!guest.writableEnded) silence = setTimeout(passOn, quietMs);
    });
    guest.on("end", () => {
      client.end();
      guest.end();
      // A socket that is destroyed with unread bytes sends a reset, which could overtake what is still to be read.
      client.resume();
      client.setTimeout(LINGER_MS, () => client.destroy());
    });
    guest.on("close", () => {
      if (!client.writableEnded) reset(client);
    });
    client.on("close", () => {
      clearTimeout(silence);
      stats.open--;
      guest.destroy();
    });
    guest.resume();
    client.resume();
  }
}
