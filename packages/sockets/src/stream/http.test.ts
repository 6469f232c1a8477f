// node:http, server and client, over vsock streams on the real driver, rings and device.
import { once } from "node:events";
import http, { type IncomingMessage, type RequestListener } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OwnedSocketCalls } from "../index.ts";
import { createStack, type Stack } from "../testing/index.ts";
import { Agent, connect, listenHttp, type Server } from "./index.ts";

let stack: Stack;
let sockets: OwnedSocketCalls;
let running: "yes" | "no";
const agents: Agent[] = [];

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
  for (const agent of agents.splice(0)) agent.destroy();
  running = "no";
  sockets.closeAll();
  await stack.loopback.driver.close();
});

async function serve(handler: RequestListener): Promise<{ httpServer: http.Server; server: Server }> {
  const httpServer = http.createServer(handler);
  const server = listenHttp(httpServer, { sockets, port: 80 });
  await once(server, "listening");
  return { httpServer, server };
}

function agentOf(options: http.AgentOptions = {}): Agent {
  const agent = new Agent({ sockets, cid: stack.relayCid, ...options });
  agents.push(agent);
  return agent;
}

async function body(message: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of message.setEncoding("latin1")) text += part;
  return text;
}

async function request(
  agent: Agent,
  options: http.RequestOptions,
  send?: string,
): Promise<[number, string, IncomingMessage]> {
  const outgoing = http.request({ agent, port: 80, host: "guest", ...options });
  outgoing.end(send);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return [response.statusCode ?? 0, await body(response), response];
}

/** Sends raw bytes, and collects what comes until the connection ends or `until` is there. */
async function raw(text: string, until?: RegExp): Promise<string> {
  const stream = connect({ sockets, cid: stack.relayCid, port: 80 });
  stream.write(text);
  let all = "";
  for await (const part of stream) {
    all += String(part);
    if (until?.test(all)) break;
  }
  stream.destroy();
  return all;
}

const echo: RequestListener = (incoming, response) => {
  void body(incoming).then((text) => {
    response.setHeader("x-method", incoming.method ?? "");
    response.end(text === "" ? `you asked ${incoming.url}` : text, "latin1");
  });
};

describe("node:http over vsock", () => {
  it("get, post, and many at once over few kept connections", async () => {
    const ports = new Set<number | undefined>();
    await serve((incoming, response) => {
      ports.add(incoming.socket.remotePort);
      echo(incoming, response);
    });
    const agent = agentOf({ keepAlive: true, maxSockets: 4 });
    expect((await request(agent, { path: "/a" })).slice(0, 2)).toEqual([200, "you asked /a"]);
    const big = "x".repeat(500_000);
    expect((await request(agent, { method: "POST" }, big))[1]).toBe(big);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => request(agent, { path: `/${index}` }).then(([, text]) => text)),
    );
    expect(answers).toEqual(Array.from({ length: 100 }, (_, index) => `you asked /${index}`));
    expect(ports.size).toBeLessThanOrEqual(5);
  });

  it("pipelined requests on one connection, answered in order", async () => {
    await serve((incoming, response) => {
      setTimeout(() => response.end(`[${incoming.url}]`), incoming.url === "/1" ? 20 : 0);
    });
    const requests = [1, 2, 3].map((index) => `GET /${index} HTTP/1.1\r\nHost: a\r\n\r\n`).join("");
    expect((await raw(requests, /\[\/3\]/)).match(/\[.*?\]/g)).toEqual(["[/1]", "[/2]", "[/3]"]);
  });

  it("chunked both ways, with trailers", async () => {
    await serve((incoming, response) => {
      void body(incoming).then((text) => {
        response.setHeader("Trailer", "X-Sum");
        for (const char of text) response.write(char);
        response.addTrailers({ "X-Sum": String(text.length) });
        response.end();
      });
    });
    const outgoing = http.request({ agent: agentOf(), port: 80, method: "POST" });
    for (const part of ["a", "b", "c"]) outgoing.write(part);
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    expect(response.headers["transfer-encoding"]).toBe("chunked");
    expect([await body(response), response.trailers]).toEqual(["abc", { "x-sum": "3" }]);
  });

  it("100-continue", async () => {
    const { httpServer } = await serve(echo);
    httpServer.on("checkContinue", (incoming, response) => {
      response.writeContinue();
      httpServer.emit("request", incoming, response);
    });
    const outgoing = http.request({ agent: agentOf(), port: 80, method: "PUT", headers: { Expect: "100-continue" } });
    outgoing.flushHeaders();
    await once(outgoing, "continue");
    outgoing.end("body");
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    expect(await body(response)).toBe("body");
  });

  it("upgrade hands both ends a stream", async () => {
    const { httpServer } = await serve(echo);
    httpServer.on("upgrade", (_incoming, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.pipe(socket);
    });
    const headers = { Connection: "Upgrade", Upgrade: "echo" };
    const outgoing = http.request({ agent: agentOf(), port: 80, headers });
    outgoing.end();
    const [, socket] = await once(outgoing, "upgrade");
    socket.write("ping");
    const [part] = await once(socket, "data");
    expect(String(part)).toBe("ping");
    socket.destroy();
  });

  it("a client that aborts ends its request only", async () => {
    const closed: Promise<unknown>[] = [];
    await serve((incoming, response) => {
      if (incoming.url !== "/slow") return echo(incoming, response);
      closed.push(once(response, "close"));
      response.write("begun");
    });
    const controller = new AbortController();
    const outgoing = http.get({ agent: agentOf(), port: 80, path: "/slow", signal: controller.signal });
    const failed = once(outgoing, "error");
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    response.on("error", () => {});
    controller.abort();
    response.destroy();
    await Promise.race([failed, once(outgoing, "close")]);
    await Promise.all(closed);
    expect((await request(agentOf(), { path: "/ok" }))[1]).toBe("you asked /ok");
  });

  it("a request timeout is emitted", async () => {
    await serve(() => {});
    const outgoing = http.get({ agent: agentOf(), port: 80, timeout: 30 });
    outgoing.on("error", () => {});
    await once(outgoing, "timeout");
    outgoing.destroy();
  });

  it("a bad request is 400", async () => {
    await serve(echo);
    expect(await raw("GARBAGE\r\n\r\n")).toMatch(/^HTTP\/1.1 400/);
  });

  it("close ends idle connections, and settles when busy ones are done", async () => {
    let answer: (() => void) | undefined;
    const { httpServer, server } = await serve((incoming, response) => {
      if (incoming.url !== "/busy") return echo(incoming, response);
      answer = () => response.end("done");
    });
    const agent = agentOf({ keepAlive: true });
    await request(agent, { path: "/idle" });
    const busy = request(agentOf(), { path: "/busy" });
    while (answer === undefined) await new Promise((resolve) => setImmediate(resolve));
    let closed = "no";
    const closing = once(server, "close").then(() => {
      closed = "yes";
    });
    server.close();
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe("no");
    answer();
    expect((await busy)[1]).toBe("done");
    httpServer.closeIdleConnections();
    await closing;
  });
});
