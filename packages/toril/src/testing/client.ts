/** HTTP clients that speak bytes: what a library would refuse to send can be sent, and what came is seen as it came. */
import { connect, type Socket } from "node:net";

/** How the connection ended: in order, by a reset, or not within the time that the test gave it. */
type End = "closed" | "reset" | "open";

export interface Talk {
  readonly bytes: Buffer;
  readonly end: End;
}

export interface TalkOptions {
  /** Ends our direction behind the request. */
  readonly halfClose?: boolean;
  /** Looks away after this many milliseconds without a byte; waits for the end unless told. */
  readonly quietMs?: number;
}

/** Sends bytes, and takes what comes until the connection ends. */
export function talk(port: number, request: string | Uint8Array, options: TalkOptions = {}): Promise<Talk> {
  const { halfClose = false, quietMs } = options;
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const chunks: Buffer[] = [];
    let timer: NodeJS.Timeout | undefined;
    const done = (end: End): void => {
      clearTimeout(timer);
      resolve({ bytes: Buffer.concat(chunks), end });
      socket.destroy();
    };
    const wait = (): void => {
      if (quietMs === undefined) return;
      clearTimeout(timer);
      timer = setTimeout(() => done("open"), quietMs);
    };
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      wait();
    });
    socket.on("end", () => done("closed"));
    socket.on("error", () => done("reset"));
    const bytes = typeof request === "string" ? Buffer.from(request, "latin1") : request;
    if (halfClose) socket.end(bytes);
    else socket.write(bytes);
    wait();
  });
}

export interface Reply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Takes responses apart. @param methods of the requests, in order: a HEAD has no body */
export function replies(bytes: Buffer, methods: readonly string[]): Reply[] {
  const found: Reply[] = [];
  let rest = bytes;
  for (const method of methods) {
    const headEnd = rest.indexOf("\r\n\r\n");
    if (headEnd < 0) throw new Error(`no head in ${JSON.stringify(rest.toString("latin1").slice(0, 200))}`);
    const [statusLine = "", ...lines] = rest.subarray(0, headEnd).toString("latin1").split("\r\n");
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    const length = method === "HEAD" || status === 304 ? 0 : Number(headers["content-length"]);
    const bodyAt = headEnd + 4;
    found.push({ status, headers, body: rest.subarray(bodyAt, bodyAt + length) });
    rest = rest.subarray(bodyAt + length);
  }
  if (rest.length > 0) throw new Error(`${rest.length} bytes behind the last response`);
  return found;
}

export function request(method: string, target: string, fields: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ host: "toril", ...fields }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** One request on a connection of its own. @throws Error unless exactly one whole response came */
export async function ask(
  port: number,
  target: string,
  fields: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<Reply> {
  const { bytes, end } = await talk(port, request(method, target, { connection: "close", ...fields }));
  const [reply] = replies(bytes, [method]);
  if (reply === undefined || end !== "closed") throw new Error(`${target}: the connection was ${end}`);
  if (method !== "HEAD" && reply.status !== 304 && reply.body.length !== Number(reply.headers["content-length"])) {
    throw new Error(`${target}: ${reply.body.length} of ${reply.headers["content-length"]} bytes`);
  }
  return reply;
}

/** A client that asks, and then does nothing: its socket is never read. */
export function stalled(port: number, bytes: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.pause();
    socket.once("connect", () => {
      socket.on("error", () => {}); // the server may reset it, by then
      if (bytes.length > 0) socket.write(bytes, "latin1");
      resolve(socket);
    });
    socket.once("error", reject);
  });
}
