// Clients that mean no good, by the hundreds. Their connections end; nobody else notices; nothing of them stays.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { counter, type Served, serve } from "./testing/cli.ts";
import { ask, request, stalled, talk } from "./testing/client.ts";
import { MACHINES } from "./testing/peers.ts";
import { noise, Site } from "./testing/site.ts";

const CLIENTS = 500;
const BIG = 32 * 2 ** 20;
const site = new Site();
const page = noise(200_000, 7);
beforeAll(() => {
  site.write("index.html", "home");
  site.write("page.bin", page);
  site.write("big.bin", noise(BIG));
});
afterAll(() => site.remove());

/** What somebody who means well does meanwhile. A request that is not answered fails the test by its time limit. */
async function wellMeaning(port: number): Promise<void> {
  for (let i = 0; i < 5; i++) {
    expect((await ask(port, "/")).body.toString()).toBe("home");
    expect((await ask(port, "/page.bin")).body.equals(page)).toBe(true);
    expect((await ask(port, "/nothing")).status).toBe(404);
  }
}

function crowd(port: number, bytesOf: (i: number) => string): Promise<Socket[]> {
  return Promise.all(Array.from({ length: CLIENTS }, (_, i) => stalled(port, bytesOf(i))));
}

describe.each(MACHINES)("%s machine", (machine) => {
  let served: Served;
  let sockets: Socket[] = [];
  beforeEach(async () => {
    // Little memory: whoever holds some of it without need is found out.
    served = await serve(site.root, "--machine", machine, "--memory", "16M");
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    served.cli.process.kill("SIGKILL");
  });

  /** All of them go; then nothing may be left of them. */
  async function leave(manner: "close" | "reset"): Promise<void> {
    const gone = sockets.map((socket) => once(socket, "close"));
    for (const socket of sockets) manner === "close" ? socket.destroy() : socket.resetAndDestroy();
    await Promise.all(gone);
    await wellMeaning(served.port);
    // The server learns of each end by itself.
    await sleep(1000);
    const stats = await served.stop();
    expect(counter(stats, "web appliance", "connectionsOpen")).toBe(0);
    expect(counter(stats, "vsock driver", "connectionsOpen")).toBe(0);
    expect(counter(stats, "vsock device", "connectionsOpen")).toBe(0);
    expect(counter(stats, "vsock device", "headsHeld")).toBe(0);
    expect(counter(stats, "core 0", "threadsFailed")).toBe(0);
    expect(counter(stats, "core 0", "threads")).toBe(1);
    // 2.5 MiB of rings and receive buffers, at most 4 MiB of packets that the pool keeps, and nothing else.
    const heap = counter(stats, "core 0", "heap", "bytesInUse");
    expect(heap - counter(stats, "file driver", "cachedBytes")).toBeLessThan(7 * 2 ** 20);
  }

  test.each<[string, (i: number) => string, "close" | "reset"]>([
    ["open a connection and say nothing", () => "", "close"],
    ["stop in the middle of a request", (i) => request("GET", "/big.bin").slice(0, 5 + (i % 30)), "reset"],
    ["ask for a big file and never read", () => request("GET", "/big.bin"), "close"],
    [
      "ask for different parts of it and never read",
      (i) => request("GET", "/big.bin", { range: `bytes=${i * Math.floor(BIG / CLIENTS)}-` }),
      "reset",
    ],
    ["ask for many pages and never read", () => request("GET", "/page.bin").repeat(30), "reset"],
  ])("500 clients that %s", async (_, bytesOf, manner) => {
    sockets = await crowd(served.port, bytesOf);
    await wellMeaning(served.port);
    await leave(manner);
  });

  test("clients that send a byte now and then, garbage, 10 MB of header, or go away in the middle", async () => {
    const { port } = served;
    const slow = Array.from({ length: 50 }, () => connect(port, "127.0.0.1").on("error", () => {}));
    sockets.push(...slow);
    let dripping = true;
    const drip = (async () => {
      const text = request("GET", "/", { "x-slow": "y".repeat(500) });
      for (let i = 0; dripping; i++) {
        for (const socket of slow) socket.write(text[i % text.length] ?? "");
        await sleep(5);
      }
    })();
    const attacks = Array.from({ length: 60 }, async (_, i) => {
      const seed = noise(4000 + i, i + 1);
      if (i % 3 === 0) return talk(port, seed, { halfClose: true });
      if (i % 3 === 1)
        return talk(port, `GET / HTTP/1.1\r\nHost: a\r\n${"X: yyyyyyyyyyyyyyyyyyyy\r\n".repeat(400_000)}\r\n`);
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.write(request("GET", "/big.bin"));
      await once(socket, "data");
      socket.resetAndDestroy();
      return undefined;
    });
    await wellMeaning(port);
    for (const answer of await Promise.all(attacks)) {
      if (answer !== undefined) expect(answer.end).not.toBe("open");
    }
    dripping = false;
    await drip;
    await leave("close");
  });
});
