// Files that change while they are served: the client gets what was promised, or sees that it did not.
import { appendFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Served, serve } from "./testing/cli.ts";
import { ask, request } from "./testing/client.ts";
import { MACHINES } from "./testing/peers.ts";
import { noise, Site } from "./testing/site.ts";

const site = new Site();
/** More than the sockets, windows and caches between the file and a client that does not read can hold. */
const SIZE = 40 * 2 ** 20;
const big = noise(SIZE);
afterAll(() => site.remove());

interface Download {
  readonly head: string;
  readonly body: Buffer;
  readonly end: "closed" | "reset";
}

/** Asks for a file, lets `between` happen when the first bytes are here and nothing is read, and takes the rest. */
function download(port: number, target: string, between: () => Promise<void> | void): Promise<Download> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    let begun = false;
    const done = (end: Download["end"]): void => {
      const bytes = Buffer.concat(chunks);
      const bodyAt = bytes.indexOf("\r\n\r\n") + 4;
      resolve({ head: bytes.subarray(0, bodyAt).toString("latin1"), body: bytes.subarray(bodyAt), end });
      socket.destroy();
    };
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (begun) return;
      begun = true;
      socket.pause();
      void (async () => {
        await between();
        socket.resume();
      })();
    });
    socket.on("end", () => done("closed"));
    socket.on("error", () => done("reset"));
    socket.write(request("GET", target, { connection: "close" }));
  });
}

describe.each(MACHINES)("%s machine", (machine) => {
  let served: Served;
  beforeAll(async () => {
    site.write("index.html", "home");
    // Little memory: nothing of the file but its beginning is in the guest when it changes.
    served = await serve(site.root, "--machine", machine, "--memory", "16M");
  });
  afterAll(async () => {
    await served.stop();
  });
  const alive = async (): Promise<void> => expect((await ask(served.port, "/")).body.toString()).toBe("home");

  test("one that shrinks is cut off: never padded, never ended as if it were whole", async () => {
    site.write("shrinks.bin", big);
    const { head, body } = await download(served.port, "/shrinks.bin", () => {
      truncateSync(join(site.root, "shrinks.bin"), 100_000);
    });
    expect(head).toContain(`Content-Length: ${SIZE}`);
    expect(body.length).toBeLessThan(SIZE);
    expect(body.equals(big.subarray(0, body.length))).toBe(true);
    await alive();
  });

  test("one that vanishes is served to its end: it is open", async () => {
    site.write("vanishes.bin", big);
    const { body, end } = await download(served.port, "/vanishes.bin", () => rmSync(join(site.root, "vanishes.bin")));
    expect([body.equals(big), end]).toEqual([true, "closed"]);
    await sleep(2000);
    expect((await ask(served.port, "/vanishes.bin")).status).toBe(404);
    await alive();
  });

  test("one that is replaced is served to its end as it was; then as it is", async () => {
    site.write("replaced.bin", big);
    const { body } = await download(served.port, "/replaced.bin", () => {
      site.write("new.bin", "new");
      renameSync(join(site.root, "new.bin"), join(site.root, "replaced.bin"));
    });
    expect(body.equals(big)).toBe(true);
    await sleep(2000);
    expect((await ask(served.port, "/replaced.bin")).body.toString()).toBe("new");
  });

  test("one that grows is served as long as it was", async () => {
    site.write("grows.bin", big);
    const { body, end } = await download(served.port, "/grows.bin", () => {
      appendFileSync(join(site.root, "grows.bin"), "more");
    });
    expect([body.equals(big), end]).toEqual([true, "closed"]);
    await sleep(2000);
    expect((await ask(served.port, "/grows.bin", { range: "bytes=-4" })).body.toString()).toBe("more");
  });

  test("one that vanishes again and again while many ask: whole, or 404, and nothing else", async () => {
    const path = join(site.root, "flickers.txt");
    const bodies = ["a".repeat(50_000), "b".repeat(70_000)];
    let asking = true;
    const flicker = (async () => {
      for (let i = 0; asking; i++) {
        if (i % 3 === 2) rmSync(path, { force: true });
        else {
          writeFileSync(`${path}.new`, bodies[i % 2] ?? "");
          renameSync(`${path}.new`, path);
        }
        await sleep(3);
      }
    })();
    const client = async (): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        const { status, body } = await ask(served.port, "/flickers.txt");
        if (status === 200) expect(bodies).toContain(body.toString());
        else expect(status).toBe(404);
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    asking = false;
    await flicker;
    await alive();
  });

  test("what changes on the host is seen within two seconds: content, a new file, a file that became a directory", async () => {
    site.write("page.txt", "one");
    expect((await ask(served.port, "/page.txt")).body.toString()).toBe("one");
    expect((await ask(served.port, `/${machine}-later.txt`)).status).toBe(404);
    // Same length, written in place: only its times tell.
    site.write("page.txt", "two");
    site.write(`${machine}-later.txt`, "here");
    await sleep(2000);
    const { body, headers } = await ask(served.port, "/page.txt");
    expect(body.toString()).toBe("two");
    expect((await ask(served.port, `/${machine}-later.txt`)).body.toString()).toBe("here");
    rmSync(join(site.root, "page.txt"));
    site.write("page.txt/index.html", "inside");
    await sleep(2000);
    expect((await ask(served.port, "/page.txt", { "if-none-match": headers["etag"] ?? "" })).status).toBe(301);
    expect((await ask(served.port, "/page.txt/")).body.toString()).toBe("inside");
    rmSync(join(site.root, "page.txt"), { recursive: true });
  });
});
