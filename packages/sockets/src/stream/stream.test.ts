// Streams and servers over the real driver, rings and device, in one thread that polls them.
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { Errno } from "@toril/virtio/platform";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OwnedSocketCalls } from "../index.ts";
import { createStack, type Stack } from "../testing/index.ts";
import { connect, createServer, type Server, type ServerOptions, type SocketStream } from "./index.ts";

let stack: Stack;
let sockets: OwnedSocketCalls;
let running: "yes" | "no";

beforeEach(async () => {
  stack = await createStack();
  sockets = stack.layer.callsFor();
  running = "yes";
  const turn = (): void => {
    stack.loopback.driver.poll();
    stack.loopback.host.poll();
    if (running === "yes") setImmediate(turn);
  };
  turn();
});
afterEach(async () => {
  running = "no";
  sockets.closeAll();
  await stack.loopback.driver.close();
});

async function listening(
  onConnection: (stream: SocketStream) => void,
  options: Partial<ServerOptions> = {},
): Promise<Server> {
  const server = createServer({ sockets, ...options }, onConnection);
  server.listen({ port: 80 });
  await once(server, "listening");
  return server;
}
const client = (options: { allowHalfOpen?: boolean; port?: number } = {}): SocketStream =>
  connect({ sockets, cid: stack.relayCid, port: 80, ...options });
const turns = async (count: number): Promise<void> => {
  for (let index = 0; index < count; index++) await new Promise((resolve) => setImmediate(resolve));
};
/** All that the peer sends. (Not an async iterator: that destroys the stream at the end of one direction.) */
async function text(stream: SocketStream): Promise<string> {
  let all = "";
  stream.on("data", (part: Buffer) => {
    all += String(part);
  });
  await once(stream, "end");
  return all;
}

describe("SocketStream", () => {
  it("emits connect, ready, data, end, close like net.Socket, and knows its addresses", async () => {
    const events: string[] = [];
    await listening((peer) => peer.end("hello"));
    const stream = client();
    expect([stream.connecting, stream.pending, stream.readyState]).toEqual([true, true, "opening"]);
    for (const event of ["connect", "ready", "end", "close"]) stream.on(event, () => events.push(event));
    stream.on("data", (part: Buffer) => events.push(`data ${part}`));
    await once(stream, "ready");
    expect([stream.connecting, stream.pending, stream.readyState]).toEqual([false, false, "open"]);
    expect([stream.remoteAddress, stream.remotePort, stream.remoteFamily]).toEqual(["2", 80, "vsock"]);
    expect(stream.address()).toMatchObject({ cid: 3, family: "vsock" });
    const [hadError] = await once(stream, "close");
    expect(hadError).toBe(false);
    expect(events).toEqual(["connect", "ready", "data hello", "end", "close"]);
    await turns(20);
    expect([stream.bytesRead, stream.readyState, sockets.waiting]).toEqual([5, "closed", 1]);
  });

  it("half-close: the answer comes after the question has ended", async () => {
    await listening(
      (peer) => {
        void text(peer).then((question) => peer.end(question.toUpperCase()));
      },
      { allowHalfOpen: true },
    );
    const stream = client();
    stream.end("question");
    const closed = once(stream, "close");
    expect(await text(stream)).toBe("QUESTION");
    await closed;
  });

  it("without allowHalfOpen it ends when the peer does", async () => {
    const closed = new Promise<string>((resolve) => {
      void listening((peer) => {
        peer.resume().on("close", (hadError: boolean) => resolve(`peer ${hadError}`));
      });
    });
    const stream = client();
    stream.end();
    stream.resume();
    await once(stream, "close");
    expect(await closed).toBe("peer false");
  });

  it("backpressure is credit: what nobody reads stops the writer within the windows", async () => {
    let peer: SocketStream | undefined;
    await listening((stream) => {
      peer = stream.pause();
    });
    const stream = client();
    await once(stream, "connect");
    const chunk = Buffer.alloc(64 * 1024, 7);
    let written = 0;
    const writing = (async () => {
      for (let index = 0; index < 160; index++) {
        if (!stream.write(chunk)) await once(stream, "drain");
        written = index + 1;
      }
      stream.end();
    })();
    await turns(500);
    const stalled = written;
    await turns(500);
    expect(written).toBe(stalled);
    expect(stalled).toBeLessThan(80);
    expect(peer?.readableLength).toBeLessThan(512 * 1024);
    let received = 0;
    peer?.on("data", (part: Buffer) => {
      received += part.length;
    });
    peer?.resume();
    const closed = once(stream.resume(), "close");
    await writing;
    await closed;
    expect(received).toBe(160 * chunk.length);
    expect(stream.bytesWritten).toBe(160 * chunk.length);
  });

  it("cork and writev keep order", async () => {
    let all: Promise<string> | undefined;
    await listening((peer) => {
      all = text(peer);
    });
    const stream = client();
    stream.cork();
    for (let index = 0; index < 1000; index++) stream.write(`${index},`);
    stream.uncork();
    stream.end("end");
    stream.resume();
    await once(stream, "close");
    expect(await all).toBe(`${Array.from({ length: 1000 }, (_, index) => index).join(",")},end`);
  });

  it("pipeline moves megabytes unchanged", async () => {
    const data = Buffer.from(Uint8Array.from({ length: 2_000_000 }, (_, index) => (index * 7) & 0xff));
    const parts: Buffer[] = [];
    let done: Promise<void> | undefined;
    await listening((peer) => {
      done = pipeline(peer, async (source) => {
        for await (const part of source) parts.push(part);
      });
    });
    await pipeline([data], client().resume());
    await done;
    expect(Buffer.concat(parts).equals(data)).toBe(true);
  });

  it("ECONNREFUSED has code, errno, syscall, address and port", async () => {
    stack.loopback.device.listen(9 as never, () => undefined);
    const stream = client({ port: 9 });
    const closed = new Promise((resolve) => stream.on("close", (hadError: boolean) => resolve(hadError)));
    const [error] = await once(stream, "error");
    expect(error).toMatchObject({
      code: "ECONNREFUSED",
      errno: -Errno.ECONNREFUSED,
      syscall: "connect",
      address: "2",
      port: 9,
    });
    expect(await closed).toBe(true);
    expect(sockets.openSockets).toBe(0);
  });

  it("a reset is an ECONNRESET error", async () => {
    await listening((peer) => peer.resetAndDestroy());
    const stream = client().resume();
    const [error] = await once(stream, "error");
    expect(error.code).toBe("ECONNRESET");
  });

  it("destroy while connecting and while waiting is silent, and leaves nothing behind", async () => {
    await listening((peer) => peer.resume());
    const early = client();
    early.destroy();
    await once(early, "close");
    const late = client().resume();
    await once(late, "connect");
    late.destroy();
    await once(late, "close");
    await turns(20);
    expect([sockets.openSockets, sockets.waiting]).toEqual([1, 1]);
  });

  it("setTimeout emits timeout when nothing moves, and not before", async () => {
    await listening((peer) => peer.resume());
    const stream = client();
    let fired = 0;
    stream.setTimeout(30, () => fired++);
    await once(stream, "timeout");
    expect(fired).toBe(1);
    stream.setTimeout(0);
    expect(stream.timeout).toBeUndefined();
    expect(() => stream.setTimeout(-1)).toThrow(RangeError);
    stream.destroy();
  });

  it("destroySoon sends what was written first; setNoDelay, setKeepAlive, ref and unref chain", async () => {
    let all: Promise<string> | undefined;
    await listening((peer) => {
      all = text(peer);
    });
    const stream = client();
    expect(stream.setNoDelay().setKeepAlive().unref().ref()).toBe(stream);
    stream.write("last");
    stream.destroySoon();
    await once(stream, "close");
    await turns(20);
    expect(await all).toBe("last");
  });
});

describe("Server", () => {
  it("address, getConnections, close waits for connections", async () => {
    const server = await listening((peer) => peer.resume());
    expect(server.address()).toEqual({ address: "3", family: "vsock", port: 80, cid: 3 });
    const stream = client().resume();
    await once(server, "connection");
    expect(await new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))).toBe(1);
    const closed = once(server, "close");
    server.close();
    expect([server.listening, server.address()]).toEqual([false, null]);
    stream.end();
    await closed;
    const error = await new Promise<Error | undefined>((resolve) => server.close(resolve));
    expect(error).toMatchObject({ code: "ERR_SERVER_NOT_RUNNING" });
  });

  it("EADDRINUSE is emitted", async () => {
    await listening(() => {});
    const second = createServer({ sockets }).listen(80);
    const [error] = await once(second, "error");
    expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen" });
  });

  it("maxConnections drops", async () => {
    const server = await listening((peer) => peer.resume());
    server.maxConnections = 1;
    client().resume();
    await once(server, "connection");
    const dropped = once(server, "drop");
    client().resume();
    expect((await dropped)[0]).toMatchObject({ remoteAddress: "2" });
  });

  it("a signal closes it", async () => {
    const controller = new AbortController();
    const server = createServer({ sockets }).listen({ port: 81, signal: controller.signal });
    await once(server, "listening");
    controller.abort();
    await once(server, "close");
    expect(sockets.openSockets).toBe(0);
  });
});
