/** For the tests: a server on a memory network, and clients that speak bytes. */
import { type OwnedSocketCalls, type Socket, SocketLayer } from "@toril/sockets";
import { type MemoryDriver, MemoryNetwork } from "@toril/sockets/testing";
import { Errno, type Log } from "@toril/virtio/platform";
import { VirtualClock } from "@toril/virtio/testing";
import { latin1 } from "../chars.ts";
import type { AccessEntry, HttpHandler, HttpServerOptions } from "../index.ts";
import { HttpServer } from "../index.ts";

const PORT = 80;
const GUEST = 3;
const WALL_CLOCK: number = Date.UTC(2026, 10, 23, 5, 0, 0);
export const DATE: string = "Mon, 23 Nov 2026 05:00:00 GMT";

export class Harness {
  readonly network: MemoryNetwork = new MemoryNetwork();
  readonly clock: VirtualClock = new VirtualClock();
  readonly guestDriver: MemoryDriver = this.network.driver(GUEST);
  readonly acceptor: OwnedSocketCalls;
  readonly listener: Socket;
  readonly server: HttpServer;
  readonly serving: Promise<void>;
  readonly access: AccessEntry[] = [];
  readonly logged: string[] = [];
  readonly threads: OwnedSocketCalls[] = [];
  readonly #layer: SocketLayer;
  readonly #host: OwnedSocketCalls;

  constructor(handler: HttpHandler, options: HttpServerOptions = {}) {
    this.#layer = new SocketLayer({ driver: this.guestDriver, clock: this.clock });
    this.#host = new SocketLayer({ driver: this.network.driver(2), clock: this.clock }).callsFor();
    this.acceptor = this.#layer.callsFor();
    this.listener = this.acceptor.socket();
    this.acceptor.bind(this.listener, PORT);
    this.acceptor.setOption(this.listener, "txPath", "zero-copy");
    this.acceptor.listen(this.listener);
    const note = (message: string): void => void this.logged.push(message);
    const log: Log = { debug: note, info: note, warn: note, error: note };
    const env = {
      sockets: this.acceptor,
      clock: this.clock,
      wallClock: () => WALL_CLOCK,
      spawn: (task: (sockets: OwnedSocketCalls) => Promise<void>) => this.#spawn(task),
      log,
    };
    this.server = new HttpServer(env, { onAccess: (entry) => this.access.push(entry), ...options }, handler);
    this.serving = this.server.serve(this.listener);
  }

  #spawn(task: (sockets: OwnedSocketCalls) => Promise<void>): void {
    const calls = this.#layer.callsFor();
    this.threads.push(calls);
    void task(calls).then(() => calls.closeAll());
  }

  async connect(): Promise<Client> {
    const socket = this.#host.socket();
    await this.network.settle(this.#host.connect(socket, { cid: GUEST, port: PORT }));
    return new Client(this, this.#host, socket);
  }

  /** Sends a request on a connection of its own, and reads until the server closes it. */
  async exchange(request: string): Promise<string> {
    const client = await this.connect();
    client.send(request);
    return client.all();
  }
}

export class Client {
  readonly socket: Socket;
  readonly calls: OwnedSocketCalls;
  readonly #harness: Harness;

  constructor(harness: Harness, calls: OwnedSocketCalls, socket: Socket) {
    this.#harness = harness;
    this.calls = calls;
    this.socket = socket;
  }

  send(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? Uint8Array.from(text, (char) => char.charCodeAt(0)) : text;
    const sent = this.calls.trySend(this.socket, bytes);
    if (sent !== bytes.length) throw new Error(`sent ${sent} of ${bytes.length}`);
  }

  /** What has come when nothing moves any more. */
  async now(): Promise<string> {
    await this.#harness.network.quiet();
    const target = new Uint8Array(1024 * 1024);
    const count = this.calls.tryRecv(this.socket, target);
    if (count === -Errno.EAGAIN) return "";
    if (count === 0) return "<end>";
    if (count < 0) return count === -Errno.ECONNRESET ? "<reset>" : `<${count}>`;
    return latin1(target, 0, count);
  }

  /** Everything until the connection ends. */
  async all(): Promise<string> {
    let text = "";
    for (;;) {
      const part = await this.now();
      if (part === "") throw new Error(`the connection does not end; so far: ${text}`);
      text += part === "<end>" ? "" : part;
      if (part.startsWith("<")) return text;
    }
  }
}

export const get = (target: string, ...fields: string[]): string =>
  `GET ${target} HTTP/1.1\r\nHost: toril\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`;

/** The body of a response with a head. */
export const bodyOf = (response: string): string => response.slice(response.indexOf("\r\n\r\n") + 4);
export const statusOf = (response: string): number => Number(response.slice(9, 12));
