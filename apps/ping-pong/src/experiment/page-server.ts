/**
 * The web appliance of the post, as small as it can be: HTTP/1.0, a connection for each request, a page of 133,000 bytes
 * from memory. The path of the request names the transmit path.
 */
import type { Sys } from "@toril/machine";
import type { DmaBuffer } from "@toril/memory";
import type { Socket } from "@toril/sockets";
import { Direction, fill } from "../payload.ts";
import { PAGE_BYTES } from "./page.ts";

interface PageArgs {
  readonly pagePort: number;
}

/** Until the machine stops. */
export async function servePages(sys: Sys): Promise<void> {
  const { pagePort } = sys.args as PageArgs;
  const page = sys.memory.allocate(PAGE_BYTES, 64);
  if (page === undefined) throw new Error(`no guest memory for a page of ${PAGE_BYTES} bytes`);
  fill(page.bytes, Direction.PONG, 0);
  const server = sys.net.socket();
  sys.net.bind(server, pagePort);
  sys.net.listen(server);
  for (;;) {
    const peer = await sys.net.accept(server, { signal: sys.stopping });
    sys.threads.spawn((own) => answer(own, peer, page), { name: "page" });
  }
}

async function answer(sys: Sys, peer: Socket, page: DmaBuffer): Promise<void> {
  const { net } = sys;
  net.adopt(peer);
  try {
    const request = await receiveRequest(sys, peer);
    const tx = /^GET \/(?<tx>two-copy|one-copy|zero-copy) /.exec(request)?.groups?.["tx"];
    if (tx === "two-copy" || tx === "one-copy" || tx === "zero-copy") net.setOption(peer, "txPath", tx);
    await net.send(peer, sys.text.encode(`HTTP/1.0 200 OK\r\nContent-Length: ${PAGE_BYTES}\r\n\r\n`));
    // All sends of all connections share the page: it is only read.
    await net.sendBuffer(peer, { buffer: page, offset: 0, length: PAGE_BYTES });
  } finally {
    net.close(peer);
  }
}

async function receiveRequest(sys: Sys, peer: Socket): Promise<string> {
  const bytes = new Uint8Array(1024);
  let text = "";
  while (!text.includes("\r\n\r\n")) {
    const count = await sys.net.recv(peer, bytes);
    if (count === 0) throw new Error("the client ended before its request was whole");
    text += sys.text.decode(bytes.subarray(0, count));
  }
  return text;
}
