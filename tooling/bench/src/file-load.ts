/** A client that asks for one file after the other over a few kept connections: what ab, which knows one URL, cannot do. */
import { connect, type Socket } from "node:net";

export interface FileLoad {
  readonly url: string;
  readonly requests: number;
  readonly connections: number;
  /** The path of the n-th request. */
  readonly path: (request: number) => string;
}

/** @throws Error for an answer that is not 200 */
export async function requestFiles(load: FileLoad): Promise<void> {
  const { hostname, port } = new URL(load.url);
  let next = 0;
  const client = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      socket.setNoDelay(true);
      const ask = (): void => {
        if (next === load.requests) {
          socket.end();
          resolve();
          return;
        }
        socket.write(`GET ${load.path(next++)} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
      };
      readResponses(socket, ask, reject);
      socket.once("connect", ask);
      socket.once("error", reject);
    });
  await Promise.all(Array.from({ length: load.connections }, client));
}

/** Small responses with a Content-Length, one at a time. */
function readResponses(socket: Socket, next: () => void, fail: (error: Error) => void): void {
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (piece: string) => {
    text += piece;
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/^content-length: (\d+)/im.exec(text)?.[1] ?? 0);
    if (text.length < end + 4 + length) return;
    if (!text.startsWith("HTTP/1.1 200")) fail(new Error(`the server answered: ${text.slice(0, end)}`));
    text = "";
    next();
  });
}
