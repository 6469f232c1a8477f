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
  /** The device's Unix socket; asked for each connection, where it may move, or (`undefined`) not be there now. */
  readonly path: string | (() => string | undefined);
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
    const { guestPort } = this.#options;
    const path = typeof this.#options.path === "string" ? this.#options.path : this.#options.path();
    if (path === undefined) {
      this.stats.refused++;
      this.#log.debug("a connection could not be forwarded", { guestPort, reason: "there is no device now" });
      // "close" follows errors; without a listener they would end the process.
      client.on("error", () => {});
      reset(client);
      return;
    }
    const link = new Link(client, path, this.#options, this.stats);
    link.begin((reason) => {
      this.#log.debug("a connection could not be forwarded", { path, guestPort, reason });
    });
  }
}

/** Buffers of connections that have ended: a new one for each would be the garbage collector's main work. */
const spare: Buffer[] = [];
const BUFFER_SIZE = 131_072;
const MAX_SPARE = 32;

/**
 * One connection. What the guest sends is read into one buffer, again and again, and written from there: the next read
 * waits until the client's socket has taken it. That is the back-pressure, too.
 */
class Link {
  readonly #client: Socket;
  readonly #options: UnixForwardOptions;
  readonly #stats: UnixForwardStats;
  readonly #buffer: Buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_SIZE);
  readonly #guest: Socket;
  #state: "asking" | "open" | "over" = "asking";
  #answer: Uint8Array = new Uint8Array(0);
  /** The client has not taken everything yet: the buffer must stay as it is. */
  #writing = false;
  #refused: (reason: string) => void = () => {};
  #deadline: NodeJS.Timeout | undefined;
  /** Runs since the client has ended its direction. */
  #silence: NodeJS.Timeout | undefined;

  constructor(client: Socket, path: string, options: UnixForwardOptions, stats: UnixForwardStats) {
    this.#client = client;
    this.#options = options;
    this.#stats = stats;
    this.#guest = connect({
      path,
      allowHalfOpen: true,
      onread: { buffer: this.#buffer, callback: (length) => this.#fromGuest(length) },
    });
  }

  /** @param refused told when the guest, or its device, does not take the connection */
  begin(refused: (reason: string) => void): void {
    this.#refused = refused;
    const { guestPort, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const [client, guest] = [this.#client, this.#guest];
    this.#deadline = setTimeout(() => this.#refuse(`no answer within ${connectTimeoutMs} ms`), connectTimeoutMs);
    // "close" follows errors, and does the work.
    client.on("error", () => {});
    guest.on("error", (error) => this.#refuse(error.message));
    guest.on("end", () => this.#guestEnded());
    guest.on("close", () => this.#guestGone());
    client.on("close", () => this.#clientGone());
    guest.write(`CONNECT ${guestPort}\n`, "latin1");
  }

  #refuse(reason: string): void {
    if (this.#state !== "asking") return;
    this.#state = "over";
    clearTimeout(this.#deadline);
    this.#stats.refused++;
    this.#refused(reason);
    this.#guest.destroy();
    reset(this.#client);
  }

  /** The first `length` bytes of the buffer are new. @returns whether it may be filled again */
  #fromGuest(length: number): boolean {
    const bytes = this.#buffer.subarray(0, length);
    if (this.#state === "open") return this.#toClient(bytes);
    if (this.#state === "over") return false;
    this.#answer = Buffer.concat([this.#answer, bytes]);
    const line = readOkLine(this.#answer);
    if (line.kind === "incomplete") return true;
    if (line.kind === "bad") {
      this.#refuse(line.reason);
      return false;
    }
    this.#open();
    return line.rest.length === 0 || this.#toClient(line.rest);
  }

  #open(): void {
    this.#state = "open";
    clearTimeout(this.#deadline);
    this.#stats.opened++;
    this.#stats.open++;
    const [client, guest] = [this.#client, this.#guest];
    client.on("data", (bytes: Uint8Array) => {
      this.#stats.bytesToGuest += bytes.length;
      if (!guest.write(bytes)) client.pause();
    });
    guest.on("drain", () => client.resume());
    client.on("end", () => this.#clientEnded());
    client.resume();
  }

  #toClient(bytes: Uint8Array): boolean {
    this.#stats.bytesFromGuest += bytes.length;
    this.#silence?.refresh();
    this.#writing = true;
    this.#client.write(bytes, () => {
      if (!this.#writing) return;
      this.#writing = false;
      this.#silence?.refresh();
      this.#guest.resume();
    });
    // The kernel took all of it at once, as it mostly does.
    if (this.#client.writableLength > 0 || this.#client.errored !== null) return false;
    this.#writing = false;
    return true;
  }

  /** It may still want an answer. */
  #clientEnded(): void {
    if (this.#guest.writableEnded) return;
    const { quietMs = QUIET_MS } = this.#options;
    this.#silence = setTimeout(() => {
      // What waits for a slow client is no silence of the guest's.
      if (this.#writing) this.#silence?.refresh();
      else this.#guest.end();
    }, quietMs);
  }

  #guestEnded(): void {
    if (this.#state === "asking") this.#refuse("the device refused it");
    if (this.#state !== "open") return;
    this.#client.end();
    this.#guest.end();
    // A socket that is destroyed with unread bytes sends a reset, which could overtake what is still to be read.
    this.#client.resume();
    this.#client.setTimeout(LINGER_MS, () => this.#client.destroy());
  }

  #guestGone(): void {
    if (this.#state === "open" && !this.#client.writableEnded) reset(this.#client);
  }

  #clientGone(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#silence);
    if (this.#state === "open") this.#stats.open--;
    this.#state = "over";
    const keep = (): void => {
      if (spare.length < MAX_SPARE) spare.push(this.#buffer);
    };
    // Nobody writes from the buffer, and once the guest's side is closed nobody reads into it.
    if (this.#guest.closed) keep();
    else this.#guest.once("close", keep);
    this.#guest.destroy();
  }
}
