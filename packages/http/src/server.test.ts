import { DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { HttpError, type HttpHandler, type LentBody, type LentPiece } from "./index.ts";
import { bodyOf, DATE, get, Harness, statusOf } from "./testing/harness.ts";

const hello: HttpHandler = () => ({ status: 200, headers: { "Content-Type": "text/plain" }, body: "hello" });
const echo: HttpHandler = async (request) => ({ status: 200, body: await request.body.bytes() });

describe("responses", () => {
  it("golden: a small response, byte for byte", async () => {
    const harness = new Harness(hello);
    const client = await harness.connect();
    client.send(get("/"));
    expect(await client.now()).toBe(
      `HTTP/1.1 200 OK\r\nDate: ${DATE}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello`,
    );
  });

  it("head and small body are one send", async () => {
    const harness = new Harness(() => ({ status: 200, body: new Uint8Array(8000) }));
    const client = await harness.connect();
    client.send(get("/"));
    await harness.network.quiet();
    const [connection] = harness.guestDriver.connections;
    expect(connection?.sends).toBe(1);
  });

  it("HEAD has the head of GET and no body, for every kind of body", async () => {
    const closed: string[] = [];
    const bodies: Record<string, () => string | Uint8Array | LentBody | AsyncIterable<Uint8Array>> = {
      "/string": () => "hellö",
      "/bytes": () => new Uint8Array(5),
      "/lent": () => ({ length: 70_000, next: () => undefined, close: () => void closed.push("lent") }),
      "/stream": async function* () {
        yield new Uint8Array(1);
      },
    };
    const harness = new Harness((request) => ({ status: 200, body: bodies[request.path]?.() ?? "" }));
    const client = await harness.connect();
    const heads: string[] = [];
    for (const path of Object.keys(bodies)) {
      client.send(get(path).replace("GET", "HEAD"));
      heads.push(await client.now());
    }
    expect(heads.map(bodyOf)).toEqual(["", "", "", ""]);
    expect(heads.map((head) => /Content-Length: \d+|Transfer-Encoding: \w+/.exec(head)?.[0])).toEqual([
      "Content-Length: 6",
      "Content-Length: 5",
      "Content-Length: 70000",
      "Transfer-Encoding: chunked",
    ]);
    expect(closed).toEqual(["lent"]);
  });

  it("204 and 304 have neither body nor a length of the server's", async () => {
    const harness = new Harness((request) => ({ status: Number(request.path.slice(1)), body: "ignored" }));
    const client = await harness.connect();
    client.send(get("/204") + get("/304") + get("/205"));
    expect(await client.now()).toBe(
      `HTTP/1.1 204 No Content\r\nDate: ${DATE}\r\n\r\n` +
        `HTTP/1.1 304 Not Modified\r\nDate: ${DATE}\r\n\r\n` +
        `HTTP/1.1 205 Reset Content\r\nDate: ${DATE}\r\nContent-Length: 7\r\n\r\nignored`,
    );
  });

  it("an async iterable is chunked for 1.1, and ends with the connection for 1.0", async () => {
    const harness = new Harness(() => ({
      status: 200,
      body: (async function* () {
        yield Buffer.from("one");
        yield new Uint8Array(0);
        yield Buffer.alloc(20_000, "x");
      })(),
    }));
    const client = await harness.connect();
    client.send(get("/"));
    expect(bodyOf(await client.now())).toBe(`3\r\none\r\n4e20\r\n${"x".repeat(20_000)}\r\n0\r\n\r\n`);
    const old = await harness.exchange("GET / HTTP/1.0\r\n\r\n");
    expect(bodyOf(old)).toBe(`one${"x".repeat(20_000)}`);
    expect(old).not.toContain("Transfer-Encoding");
  });

  it("a handler cannot split a response: such values are 500", async () => {
    const values = ["a\r\nSet-Cookie: x", "a\nb", "a\0b", "é\u20ac"];
    const harness = new Harness((request) => ({
      status: 200,
      headers: { "X-Value": values[Number(request.path.slice(1))] ?? "" },
    }));
    for (const index of values.keys()) {
      const response = await harness.exchange(get(`/${index}`));
      expect(statusOf(response)).toBe(500);
      expect(response).not.toContain("Set-Cookie");
    }
    expect(harness.server.stats.handlerErrors).toBe(4);
  });

  it("what a handler throws is 500, an HttpError its own status; the connection is kept", async () => {
    const harness = new Harness((request) => {
      if (request.path === "/sync") throw new Error("secret");
      if (request.path === "/teapot") throw new HttpError(418, "short and stout");
      return Promise.reject(new Error("secret"));
    });
    const client = await harness.connect();
    client.send(get("/sync") + get("/async") + get("/teapot"));
    const answers = await client.now();
    expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 500", "HTTP/1.1 500", "HTTP/1.1 418"]);
    expect(answers).not.toContain("secret");
    expect(answers).toContain("short and stout");
    expect(harness.logged).toHaveLength(2);
  });
});

describe("connections", () => {
  it("keep-alive and close, as version and Connection say", async () => {
    const harness = new Harness(hello);
    const cases: [request: string, kept: boolean, says: string | undefined][] = [
      ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, undefined],
      ["GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false, "close"],
      ["GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false, "close"],
      ["GET / HTTP/1.0\r\n\r\n", false, "close"],
      ["GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, "keep-alive"],
      ["GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false, "close"],
    ];
    for (const [request, kept, says] of cases) {
      const client = await harness.connect();
      client.send(request);
      const response = await client.now();
      expect(/Connection: (.*)\r/.exec(response)?.[1], request).toBe(says);
      expect(await client.now(), request).toBe(kept ? "" : "<end>");
    }
  });

  it("pipelined requests are answered in their order, however long each takes", async () => {
    const waiting: (() => void)[] = [];
    const harness = new Harness(async (request) => {
      if (request.path === "/slow") await new Promise<void>((resolve) => waiting.push(resolve));
      return { status: 200, body: `[${request.path}]` };
    });
    const client = await harness.connect();
    client.send(get("/slow") + get("/quick") + get("/slow"));
    expect(await client.now()).toBe("");
    waiting.shift()?.();
    expect((await client.now()).match(/\[.*?\]/g)).toEqual(["[/slow]", "[/quick]"]);
    waiting.shift()?.();
    expect((await client.now()).match(/\[.*?\]/g)).toEqual(["[/slow]"]);
  });

  it("hundreds of pipelined requests, in pieces of any size, are all answered", async () => {
    const harness = new Harness((request) => ({ status: 200, body: `[${request.path}]` }));
    const client = await harness.connect();
    const paths = Array.from({ length: 300 }, (_, index) => `/${index}`);
    const all = paths.map((path) => get(path)).join("");
    for (let at = 0; at < all.length; at += 997) client.send(all.slice(at, at + 997));
    let text = await client.now();
    while (!text.includes("[/299]")) {
      harness.clock.advance(1);
      text += await client.now();
    }
    expect(text.match(/\[.*?\]/g)).toEqual(paths.map((path) => `[${path}]`));
  });

  it("a bad request is answered, then the connection closes, and nobody else notices", async () => {
    const harness = new Harness(hello);
    const good = await harness.connect();
    good.send("GET / HT");
    const bad = await harness.exchange("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    expect(statusOf(bad)).toBe(400);
    expect(bad).toContain("Connection: close");
    good.send("TP/1.1\r\nHost: a\r\n\r\n");
    expect(statusOf(await good.now())).toBe(200);
    expect(harness.access.map(({ status }) => status)).toEqual([400, 200]);
  });

  it("beyond the limit a client is told 503; when one goes there is room again", async () => {
    const harness = new Harness(hello, { limits: { connections: 1 } });
    const first = await harness.connect();
    expect(statusOf(await harness.exchange(get("/")))).toBe(503);
    first.calls.close(first.socket);
    await harness.network.quiet();
    const second = await harness.connect();
    second.send(get("/"));
    expect(statusOf(await second.now())).toBe(200);
    expect(harness.server.stats).toMatchObject({ connectionsOpen: 1, connectionsAccepted: 2, connectionsRefused: 1 });
  });

  it("500 clients that stall, abort or send garbage leave nothing behind", async () => {
    const harness = new Harness(hello, { limits: { connections: 600 } });
    for (let index = 0; index < 500; index++) {
      const client = await harness.connect();
      if (index % 3 === 0) client.send("\x16\x03\x01garbage\r\n\r\n");
      if (index % 3 === 1) client.send("GET /stall HTTP/1.1\r\nHost:");
      if (index % 3 === 2) client.calls.abort(client.socket);
    }
    const good = await harness.connect();
    good.send(get("/"));
    expect(statusOf(await good.now())).toBe(200);
    for (let second = 0; second < 60; second++) {
      harness.clock.advance(1_000);
      await harness.network.quiet();
    }
    expect(harness.server.stats.connectionsOpen).toBe(0);
    expect(harness.threads.map((calls) => calls.openSockets + calls.waiting).filter((left) => left > 0)).toEqual([]);
    expect(harness.clock.pending).toBe(0);
  });

  it("does not begin to serve bytes that came before the connection closed twice", async () => {
    const harness = new Harness(hello);
    const client = await harness.connect();
    client.send(get("/"));
    client.calls.close(client.socket);
    await harness.network.quiet();
    expect(harness.server.stats.connectionsOpen).toBe(0);
  });
});

it("requests that came together are answered together: nothing is awaited between them", async () => {
  const harness = new Harness(hello);
  const client = await harness.connect();
  await harness.network.quiet();
  client.send(get("/").repeat(10));
  const [connection] = harness.guestDriver.connections;
  harness.network.poll();
  const sends: number[] = [];
  for (let turn = 0; turn < 10; turn++) {
    await Promise.resolve();
    sends.push(connection?.sends ?? 0);
  }
  // All or none after any turn of the microtask queue; and the bytes wake the thread within a few.
  expect(new Set(sends)).toEqual(new Set([0, 10]));
  expect(sends[4]).toBe(10);
});

describe("request bodies", () => {
  it("by length and chunked, whole, streamed, as text", async () => {
    const harness = new Harness(async (request) => {
      if (request.path === "/text") return { status: 200, body: (await request.body.text()).toUpperCase() };
      let body = "";
      for await (const run of request.body) body += `<${Buffer.from(run).toString()}>`;
      return { status: 200, body };
    });
    const client = await harness.connect();
    client.send("POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\ngr\xc3\xbcn");
    client.send("e");
    expect(bodyOf(await client.now())).toBe("GR\xc3\x9cNE");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n");
    await harness.network.quiet();
    client.send("2\r\nde\r\n0\r\nTrailer: x\r\n\r\n");
    expect(bodyOf(await client.now())).toBe("<abc><de>");
  });

  it("a handler that ignores a short body keeps the connection, a long one costs it", async () => {
    const harness = new Harness(hello, { limits: { drainBytes: 10, bodyBytes: 1000 } });
    const client = await harness.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345");
    client.send(get("/"));
    expect((await client.now()).match(/200 OK/g)).toHaveLength(2);
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n${"x".repeat(500)}${get("/never")}`);
    const last = await client.now();
    expect(last).toContain("Connection: close");
    expect(last.match(/200 OK/g)).toHaveLength(1);
    expect(await client.now()).toBe("<end>");
  });

  it("413 for a body that is too long, told or not", async () => {
    const harness = new Harness(echo, { limits: { bodyBytes: 10 } });
    const told = await harness.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    const untold = await harness.exchange(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n",
    );
    expect([told, untold].map(statusOf)).toEqual([413, 413]);
  });

  it("400 for a chunked body that is not well formed, and nothing behind it is a request", async () => {
    const harness = new Harness(echo);
    const text = await harness.exchange(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n${get("/smuggled")}`,
    );
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 400"]);
  });

  it("RFC 9110 §10.1.1: 100 Continue is sent when the handler reads, and not when it does not", async () => {
    const harness = new Harness((request) => (request.path === "/read" ? echo(request) : { status: 403 }));
    const reading = await harness.connect();
    reading.send("POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(await reading.now()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    reading.send("ok");
    expect(bodyOf(await reading.now())).toBe("ok");
    const refused = await harness.connect();
    refused.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(statusOf(await refused.now())).toBe(403);
    expect(await refused.now()).toBe("<end>");
    expect(statusOf(await harness.exchange("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n"))).toBe(417);
  });

  it("a client that ends in the middle of its body ends its connection only", async () => {
    const harness = new Harness(echo);
    const client = await harness.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
    client.calls.shutdown(client.socket, "send");
    expect(statusOf(await client.now())).toBe(400);
    expect(await client.now()).toBe("<end>");
  });

  it("a request is over when its response is sent", async () => {
    const kept: Parameters<HttpHandler>[0][] = [];
    const harness = new Harness((request) => {
      kept.push(request);
      return hello(request);
    });
    const client = await harness.connect();
    client.send(get("/a", "X: 1"));
    await client.now();
    expect(() => kept[0]?.header("x")).toThrow("over");
    expect(kept[0]?.target).toBe("/a");
  });
});

describe("lent bodies", () => {
  const memory = GuestMemory.allocate({ size: 1024 * 1024 });
  const SIZE = 300_000;
  const file = (): DmaBuffer => {
    const buffer = new DmaBuffer(memory, guestAddress(0), SIZE, () => {});
    for (let index = 0; index < SIZE; index++) buffer.writable[index] = 97 + (index % 26);
    return buffer;
  };

  function lent(buffer: DmaBuffer, pieces: number[], length: number, turn: "sync" | "async") {
    const log: string[] = [];
    let at = 0;
    const next = (): LentPiece | undefined => {
      const size = pieces.shift();
      if (size === undefined) return undefined;
      const piece = { buffer, offset: at, length: size, done: () => void log.push(`done ${size}`) };
      at += size;
      return piece;
    };
    const body: LentBody = {
      length,
      next: () => (turn === "sync" ? next() : Promise.resolve(next())),
      close: () => void log.push("close"),
    };
    return { body, log };
  }

  it.each(["sync", "async"] as const)(
    "goes out whole, beyond the window, and is lent, not copied (%s)",
    async (turn) => {
      const buffer = file();
      const { body, log } = lent(buffer, [100_000, 150_000, 50_000], SIZE, turn);
      const harness = new Harness(() => ({ status: 200, body }));
      const client = await harness.connect();
      client.send(get("/"));
      let text = "";
      while (bodyOf(text).length < SIZE) text += await client.now();
      expect(bodyOf(text)).toBe(Buffer.from(buffer.bytes).toString("latin1"));
      expect([...log].sort()).toEqual(["close", "done 100000", "done 150000", "done 50000"]);
      expect(buffer.state).toBe("owned");
      expect(harness.guestDriver.connections[0]?.copiedBytes).toBeLessThan(200);
    },
  );

  it.each([
    { name: "none", late: 3, sends: 1 },
    { name: "the first", late: 0, sends: 2 },
    { name: "the second", late: 1, sends: 3 },
  ])("pieces that come at once go in one send: $name is late", async ({ late, sends }) => {
    const { body, log } = lent(file(), [4000, 5000, 10], 9010, "sync");
    let asked = 0;
    const next = (most: number) => (asked++ === late ? Promise.resolve(body.next(most)) : body.next(most));
    const harness = new Harness(() => ({ status: 200, body: { ...body, next } }));
    const client = await harness.connect();
    client.send(get("/"));
    expect(bodyOf(await client.now())).toHaveLength(9010);
    expect([...log].sort()).toEqual(["close", "done 10", "done 4000", "done 5000"]);
    expect(harness.guestDriver.connections[0]?.lentSends).toBe(sends);
  });

  it.each([30, 5000])("one of %i bytes whose piece is late and too long: it goes back once", async (length) => {
    let done = 0;
    const piece = { buffer: file(), offset: 0, length: length + 1, done: () => void done++ };
    const body: LentBody = { length, next: () => Promise.resolve(piece), close: () => {} };
    const harness = new Harness(() => ({ status: 200, body }));
    const client = await harness.connect();
    client.send(get("/"));
    await client.now();
    expect(done).toBe(1);
  });

  it("a small one goes with its head", async () => {
    const { body, log } = lent(file(), [10, 20], 30, "sync");
    const harness = new Harness(() => ({ status: 200, body }));
    const client = await harness.connect();
    client.send(get("/"));
    expect(bodyOf(await client.now())).toBe("abcdefghijklmnopqrstuvwxyzabcd");
    expect(log).toEqual(["done 10", "done 20", "close"]);
    expect(harness.guestDriver.connections[0]?.sends).toBe(1);
  });

  it.each([
    [30, [10]],
    [5000, [4000]],
    [5000, [4000, 4000]],
    [5000, []],
  ])("one of %i bytes that comes as %j is cut off: never padded, never hung", async (length, pieces) => {
    const { body, log } = lent(file(), [...pieces], length, "sync");
    const harness = new Harness(() => ({ status: 200, body }));
    const client = await harness.connect();
    client.send(get("/"));
    const text = await client.now();
    expect(text === "<reset>" || (await client.now()) === "<reset>").toBe(true);
    expect(log.filter((entry) => entry === "close")).toHaveLength(1);
    expect(log.filter((entry) => entry.startsWith("done"))).toHaveLength(pieces.length);
    expect(harness.server.stats.cutOff).toBe(1);
    expect(harness.logged).toEqual(["a response was cut off"]);
  });

  it("is asked for only when the client takes it: one that stalls holds no piece", async () => {
    const buffer = file();
    const asked: number[] = [];
    let at = 0;
    let held = 0;
    const body: LentBody = {
      length: SIZE,
      next(most) {
        asked.push(most);
        const length = Math.min(most, 65_536);
        const piece = { buffer, offset: at, length, done: () => void held-- };
        at += length;
        held++;
        return piece;
      },
      close: () => {},
    };
    const harness = new Harness(() => ({ status: 200, body }));
    const client = await harness.connect();
    client.calls.setOption(client.socket, "bufferSize", 100_000);
    client.send(get("/"));
    await harness.network.quiet();
    // A window full has gone: the device has taken it over, and nothing of the buffer is lent.
    expect([held, buffer.state]).toEqual([0, "owned"]);
    expect(at).toBeLessThanOrEqual(100_000);
    let text = "";
    while (bodyOf(text).length < SIZE) text += await client.now();
    expect(bodyOf(text)).toBe(Buffer.from(buffer.bytes).toString("latin1"));
    expect(asked.every((most) => most > 0 && most <= SIZE)).toBe(true);
  });

  it("gives everything back when the client goes away in the middle", async () => {
    const buffer = file();
    const { body, log } = lent(buffer, [200_000, 100_000], SIZE, "sync");
    const harness = new Harness(() => ({ status: 200, body }));
    const client = await harness.connect();
    client.calls.setOption(client.socket, "bufferSize", 1000);
    client.send(get("/"));
    await harness.network.quiet();
    client.calls.abort(client.socket);
    await harness.network.quiet();
    expect([...log].sort()).toEqual(["close", "done 200000"]);
    expect(buffer.state).toBe("owned");
    expect(harness.access[0]).toMatchObject({ status: 200, outcome: "cut-off" });
  });
});

describe("slow clients", () => {
  const limits = { idleTimeoutMs: 100, headTimeoutMs: 1000, bodyTimeoutMs: 50, writeTimeoutMs: 200 };

  it("idle: closed without a word", async () => {
    const harness = new Harness(hello, { limits });
    const client = await harness.connect();
    await harness.network.quiet();
    harness.clock.advance(99);
    expect(await client.now()).toBe("");
    harness.clock.advance(1);
    expect(await client.now()).toBe("<end>");
    expect(harness.server.stats.timeouts).toEqual({ idle: 1, head: 0, body: 0, write: 0 });
  });

  it("a head that comes byte by byte has one deadline: 408", async () => {
    const harness = new Harness(hello, { limits });
    const client = await harness.connect();
    for (let index = 0; index < 11; index++) {
      client.send(index === 0 ? "GET /" : "x");
      await harness.network.quiet();
      harness.clock.advance(99);
    }
    expect(statusOf(await client.now())).toBe(408);
    expect(await client.now()).toBe("<end>");
    expect(harness.server.stats.timeouts.head).toBe(1);
  });

  it("a body that stands still: 408", async () => {
    const harness = new Harness(echo, { limits });
    const client = await harness.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12");
    await harness.network.quiet();
    harness.clock.advance(50);
    expect(statusOf(await client.now())).toBe(408);
    expect(await client.now()).toBe("<end>");
    expect(harness.server.stats).toMatchObject({ timeouts: { body: 1 }, handlerErrors: 0 });
  });

  it("one that takes nothing of its response is reset", async () => {
    const harness = new Harness(() => ({ status: 200, body: new Uint8Array(500_000) }), { limits });
    const client = await harness.connect();
    client.calls.setOption(client.socket, "bufferSize", 1000);
    client.send(get("/"));
    await harness.network.quiet();
    harness.clock.advance(200);
    await harness.network.quiet();
    expect(harness.server.stats).toMatchObject({ timeouts: { write: 1 }, connectionsOpen: 0, cutOff: 1 });
    expect(await client.now()).toBe("<reset>");
  });

  it("a handler may take its time", async () => {
    let answer: (() => void) | undefined;
    const harness = new Harness(
      async (request) => {
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return hello(request);
      },
      { limits },
    );
    const client = await harness.connect();
    client.send(get("/"));
    await harness.network.quiet();
    harness.clock.advance(60_000);
    answer?.();
    expect(statusOf(await client.now())).toBe(200);
  });
});

describe("close", () => {
  it("ends idle connections now, busy ones after their response, which says so", async () => {
    let answer: (() => void) | undefined;
    const harness = new Harness(async (request) => {
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return hello(request);
    });
    const idle = await harness.connect();
    const busy = await harness.connect();
    busy.send(get("/"));
    await harness.network.quiet();
    const closing = harness.server.close();
    await harness.network.settle(harness.serving);
    expect(await idle.now()).toBe("<end>");
    expect(await busy.now()).toBe("");
    answer?.();
    const response = await busy.now();
    expect([statusOf(response), response.includes("Connection: close")]).toEqual([200, true]);
    expect(await busy.now()).toBe("<end>");
    await harness.network.settle(closing);
    expect(harness.clock.pending).toBe(0);
  });

  it("resets after the grace what still hangs", async () => {
    const harness = new Harness(() => new Promise(() => {}));
    const client = await harness.connect();
    client.send(get("/"));
    await harness.network.quiet();
    const closing = harness.server.close({ graceMs: 100 });
    await harness.network.quiet();
    harness.clock.advance(100);
    await harness.network.settle(closing);
    expect(await client.now()).toBe("<reset>");
  });
});

it("the access log has status, bytes and latency", async () => {
  const harness = new Harness(async () => {
    harness.clock.advance(7);
    return { status: 404, body: "no" };
  });
  const client = await harness.connect();
  client.send(get("/missing?x"));
  const response = await client.now();
  const { peer, ...entry } = harness.access[0] ?? { peer: undefined };
  expect(peer?.cid).toBe(2);
  expect(entry).toEqual({
    method: "GET",
    target: "/missing?x",
    httpVersion: "1.1",
    status: 404,
    bytes: response.length,
    latencyMs: 7,
    outcome: "sent",
  });
});
