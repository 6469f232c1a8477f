/** Those who put a machine under load: each does one thing after the other, in an order of chance, until it is told to stop. */
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { content, type Site, type SiteFile } from "./files.ts";

/** How often each thing was done, and what went wrong. */
export interface Deeds {
  readonly counts: Record<string, number>;
  /** The longest time that each took, in milliseconds. */
  readonly slowest: Record<string, number>;
  readonly faults: string[];
}

/** What a client waits for at most: then it counts as a hang. */
const PATIENCE_MS = 60_000;
/** The rest of a keep-alive agent's sockets are closed with it. */
const SOCKETS = 4;

interface Target {
  readonly web: number;
  readonly echo: number;
  readonly site: Site;
  /** Most bytes that an echo sends: what comes back is on its way at the same time. */
  readonly echoBytes: number;
}

export class Clients {
  readonly deeds: Deeds = { counts: {}, slowest: {}, faults: [] };
  readonly #target: Target;
  readonly #repertoire: typeof DEEDS;
  #agent = new Agent({ keepAlive: true, maxSockets: SOCKETS });
  #running = false;
  #tasks: Promise<void>[] = [];

  /** @param manners `polite`: nobody goes before the end */
  constructor(target: Target, manners: "any" | "polite") {
    this.#target = target;
    this.#repertoire = manners === "any" ? DEEDS : DEEDS.filter(([name]) => !name.endsWith("aborted"));
  }

  start(count: number): void {
    this.#running = true;
    this.#agent = new Agent({ keepAlive: true, maxSockets: SOCKETS });
    this.#tasks = Array.from({ length: count }, () => this.#live());
  }

  /** Settles when each has ended what it was doing. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#tasks);
    this.#agent.destroy();
  }

  async #live(): Promise<void> {
    while (this.#running) {
      const [name, deed] = this.#repertoire[Math.floor(Math.random() * this.#repertoire.length)] ?? [
        "nothing",
        sleepABit,
      ];
      const began = performance.now();
      const limit = new AbortController();
      const timer = setTimeout(() => limit.abort(), PATIENCE_MS);
      try {
        await Promise.race([deed(this.#target, this.#agent), hangs(limit.signal)]);
        this.deeds.slowest[name] = Math.max(this.deeds.slowest[name] ?? 0, Math.round(performance.now() - began));
        this.deeds.counts[name] = (this.deeds.counts[name] ?? 0) + 1;
      } catch (error) {
        if (this.deeds.faults.length < 50) this.deeds.faults.push(`${name}: ${String(error)}`);
        await sleep(100);
      }
      clearTimeout(timer);
    }
  }
}

async function hangs(signal: AbortSignal): Promise<never> {
  await once(signal, "abort");
  throw new Error(`no end after ${PATIENCE_MS} ms`);
}

type Deed = (target: Target, agent: Agent) => Promise<void>;

/** What is done. */
const DEEDS: readonly (readonly [string, Deed])[] = [
  ["requests on a kept connection", requests],
  ["connection for one request", oneRequest],
  ["large download", ({ web, site }) => download(web, largest(site))],
  ["large download, aborted", abortedDownload],
  ["slow reader", slowReader],
  ["echo", echo],
  ["echo, aborted", abortedEcho],
  ["half-closed request", halfClosed],
  ["file changed", changeFile],
  ["missing page", ({ web }) => status(web, "/nothing-here", 404)],
];

function largest({ files }: Site): SiteFile {
  return files.reduce((a, b) => (b.size > a.size ? b : a));
}

function any(site: Site): SiteFile {
  const small = site.files.filter(({ size }) => size <= 1_000_000);
  return small[Math.floor(Math.random() * small.length)] ?? largest(site);
}

async function requests({ web, site }: Target, agent: Agent): Promise<void> {
  for (let i = 0; i < 20; i++) {
    const file = any(site);
    const response = await open(web, `/${file.name}`, agent);
    check(file, response.statusCode, await drain(response));
  }
}

async function oneRequest({ web, site }: Target): Promise<void> {
  await download(web, any(site));
}

async function download(port: number, file: SiteFile): Promise<void> {
  const response = await open(port, `/${file.name}`, undefined);
  check(file, response.statusCode, await drain(response));
}

async function status(port: number, path: string, expected: number): Promise<void> {
  const response = await open(port, path, undefined);
  await drain(response);
  if (response.statusCode !== expected) throw new Error(`${path} gave ${response.statusCode}`);
}

async function abortedDownload({ web, site }: Target): Promise<void> {
  const file = largest(site);
  const response = await open(web, `/${file.name}`, undefined);
  const until = Math.random() * file.size * 0.9;
  let received = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    received += chunk.length;
    if (received > until) break;
  }
  if (Math.random() < 0.5) response.socket.resetAndDestroy();
  else response.destroy();
}

async function slowReader({ web, site }: Target): Promise<void> {
  const file = site.files.find(({ size }) => size === 1_000_000) ?? largest(site);
  const response = await open(web, `/${file.name}`, undefined);
  const chunks: Buffer[] = [];
  let pauses = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    if (pauses < 10 && Math.random() < 0.2) {
      pauses++;
      await sleep(Math.random() * 100);
    }
  }
  check(file, response.statusCode, Buffer.concat(chunks));
}

async function echo({ echo: port, echoBytes }: Target): Promise<void> {
  const sent = content(Math.floor(Math.random() ** 3 * echoBytes), 7);
  const socket = await dial(port);
  socket.end(sent);
  const got = await drain(socket);
  if (!got.equals(sent)) throw new Error(`${got.length} of ${sent.length} bytes came back, or other ones`);
}

async function abortedEcho({ echo: port }: Target): Promise<void> {
  const socket = await dial(port);
  socket.on("error", () => {});
  socket.write(content(Math.floor(Math.random() * 500_000), 3));
  await sleep(Math.random() * 20);
  if (Math.random() < 0.5) socket.resetAndDestroy();
  else socket.destroy();
}

async function halfClosed({ web, site }: Target): Promise<void> {
  const file = any(site);
  const socket = await dial(web);
  socket.end(`GET /${file.name} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n`);
  const response = await drain(socket);
  const at = response.indexOf("\r\n\r\n");
  check(file, Number(response.subarray(9, 12)), response.subarray(at + 4));
}

async function sleepABit(): Promise<void> {
  await sleep(10);
}

async function changeFile({ site }: Target): Promise<void> {
  site.change();
  await sleep(50);
}

function check({ name, size, changes }: SiteFile, code: number | undefined, body: Buffer): void {
  if (code !== 200) throw new Error(`${name} gave ${code}`);
  if (body.length !== size) throw new Error(`${name} came with ${body.length} bytes, not ${size}`);
  const version = changes ? (body[0] ?? 0) : 0;
  if (!body.equals(content(size, version))) throw new Error(`WRONG BYTES in ${name}`);
}

function open(port: number, path: string, agent: Agent | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, agent: agent ?? false };
    get(options, resolve).on("error", reject);
  });
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

async function drain(from: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of from) chunks.push(chunk);
  return Buffer.concat(chunks);
}
