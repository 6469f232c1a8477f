/** A client like `ab -c 1` without keep-alive: one connection after the other, each for one page. */
import { connect } from "node:net";
import type { TxPath } from "@toril/vsock";
import { PAGE_BYTES } from "./page.ts";

/**
 * Asks `count` times, one after the other.
 * @returns milliseconds in all
 * @throws Error when an answer is not a whole page
 */
export async function fetchPages(port: number, tx: TxPath, count: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < count; i++) await fetchPage(port, tx);
  return performance.now() - start;
}

function fetchPage(port: number, tx: TxPath): Promise<void> {
  return new Promise((resolve, reject) => {
    let length = 0;
    let head = "";
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.on("connect", () => socket.write(`GET /${tx} HTTP/1.0\r\n\r\n`));
    socket.on("data", (bytes) => {
      if (head === "") head = bytes.toString("latin1", 0, bytes.indexOf("\r\n\r\n") + 4);
      length += bytes.length;
    });
    socket.on("error", reject);
    socket.on("close", () => {
      if (head.startsWith("HTTP/1.0 200 ") && length === head.length + PAGE_BYTES) resolve();
      else
        reject(new Error(`a page of ${PAGE_BYTES} bytes came as ${length} bytes after "${head.split("\r\n", 1)[0]}"`));
    });
  });
}
