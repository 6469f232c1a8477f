import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Client, GuestProgram, guestListen, pattern, startGuest, type TestGuest, until } from "../testing/guest.ts";
import { UnixBridge } from "./unix-bridge.ts";
import { UnixForward, type UnixForwardOptions } from "./unix-forward.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: string;
let path: string;
const forwards: UnixForward[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "toril-forward-"));
  path = join(folder, "vsock");
});
afterEach(async () => {
  for (const forward of forwards.splice(0)) await forward.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: Partial<UnixForwardOptions> = {}): Promise<UnixForward> {
  const forward = await UnixForward.start({ path, listen: { port: 0 }, guestPort: 80, ...options });
  forwards.push(forward);
  return forward;
}

describe("to a guest behind our own Unix bridge", () => {
  let guest: TestGuest;
  let bridge: UnixBridge;
  let programs: GuestProgram[];

  beforeEach(async () => {
    guest = await startGuest();
    programs = [];
    guestListen(guest, 80, (connection) => programs.push(new GuestProgram(connection)));
    bridge = await UnixBridge.start({ device: guest.device, path });
  });
  afterEach(async () => {
    await bridge.close();
    guest.stop();
  });

  async function open(forward: UnixForward): Promise<{ client: Client; program: GuestProgram }> {
    const index = programs.length;
    const client = new Client({ ...forward.address });
    await until(() => programs.length > index);
    return { client, program: programs[index] as GuestProgram };
  }

  test("bytes arrive as they were, both ways at once, megabytes of them", async () => {
    const forward = await start();
    const { client, program } = await open(forward);
    const [up, down] = [pattern(3_000_000, 1), pattern(5_000_000, 2)];
    client.socket.write(up);
    program.send(down);
    await until(() => client.receivedBytes === down.length && program.receivedBytes === up.length);
    expect([client.received.equals(down), program.received.equals(up)]).toEqual([true, true]);
    expect(forward.stats).toMatchObject({ bytesFromGuest: down.length, bytesToGuest: up.length, opened: 1, open: 1 });
  });

  test("the device moves, and is away for a while: clients are refused then, and find it at its new place", async () => {
    let place: string | undefined = path;
    const forward = await start({ path: () => place });
    await open(forward);
    place = undefined;
    const refused = new Client({ ...forward.address });
    await until(() => refused.socket.closed && forward.stats.opened === 1);
    expect(forward.stats.refused).toBe(1);
    place = join(folder, "moved");
    symlinkSync(path, place);
    await open(forward);
    await until(() => forward.stats.opened === 2);
    expect(forward.stats.refused).toBe(1);
  });

  test("a client that does not read stops the guest, and loses nothing when it goes on", async () => {
    const forward = await start();
    const { client, program } = await open(forward);
    client.socket.pause();
    const down = pattern(30_000_000, 3);
    program.send(down);
    let before = -1;
    // Until nothing moves any more: far from all of it.
    await until(() => {
      const stands = forward.stats.bytesFromGuest === before && before > 0;
      before = forward.stats.bytesFromGuest;
      return stands;
    });
    expect(forward.stats.bytesFromGuest).toBeLessThan(down.length);
    client.socket.resume();
    await until(() => client.receivedBytes === down.length);
    expect(client.received.equals(down)).toBe(true);
  });

  test("many connections one after another, with each its own bytes", async () => {
    const forward = await start();
    for (let i = 0; i < 50; i++) {
      const { client, program } = await open(forward);
      program.send(pattern(200_000, i));
      program.end();
      await until(() => client.state === "ended");
      expect(client.received.equals(pattern(200_000, i))).toBe(true);
      client.socket.destroy();
    }
    await until(() => forward.connections === 0);
    expect(forward.stats).toMatchObject({ opened: 50, open: 0, refused: 0 });
  });

  test("a guest port where nobody listens: the client is reset", async () => {
    const forward = await start({ guestPort: 81 });
    const client = new Client({ ...forward.address });
    await until(() => client.state === "reset");
    expect(forward.stats).toMatchObject({ opened: 0, refused: 1 });
  });

  test("a client that goes away: the guest learns it", async () => {
    const { client, program } = await open(await start());
    client.socket.resetAndDestroy();
    await until(() => program.ended || program.closed !== undefined);
  });

  test("one more than the limit is closed at once", async () => {
    const forward = await start({ maxConnections: 1 });
    await open(forward);
    const second = new Client({ ...forward.address });
    await until(() => second.state !== "open");
    expect(programs).toHaveLength(1);
  });
});

describe("to a peer without half-close", () => {
  let server: Server;
  let peers: Socket[];
  let lines: string[];

  /** Answers every line; an end of stream shuts both directions, as with vhost-device-vsock. */
  async function listen(answer: string): Promise<void> {
    peers = [];
    lines = [];
    server = createServer({ allowHalfOpen: true }, (peer) => {
      peers.push(peer);
      peer.on("error", () => {});
      peer.on("data", (bytes) => {
        lines.push(String(bytes));
        if (lines.length === peers.length) peer.write(answer);
      });
      peer.on("end", () => peer.destroy());
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
  }
  afterEach(async () => {
    for (const peer of peers) peer.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  test("a client that ends its direction gets its whole answer, however long that is", async () => {
    await listen("OK 1024\n");
    const client = new Client({ ...(await start({ quietMs: 1000 })).address });
    client.socket.end("request");
    await until(() => lines.length === 2);
    expect(lines).toEqual(["CONNECT 80\n", "request"]);
    const answer = pattern(100_000, 4);
    // For longer than the silence that would be the end, with shorter ones.
    for (let at = 0; at < answer.length; at += 2_000) {
      peers[0]?.write(answer.subarray(at, at + 2_000));
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await until(() => client.receivedBytes === answer.length);
    expect(client.received.equals(answer)).toBe(true);
    // Then the guest was silent for long enough, and hears of the client's end.
    await until(() => client.state === "closed");
  });

  test("bytes right behind the answer are the guest's", async () => {
    await listen("OK 1024\nhello");
    const client = new Client({ ...(await start()).address });
    await until(() => client.receivedBytes === 5);
    expect(String(client.received)).toBe("hello");
  });

  test.each(["NO\n", "OK\n", "x".repeat(64)])("an answer that is none (%j) resets the client", async (answer) => {
    await listen(answer);
    const forward = await start();
    const client = new Client({ ...forward.address });
    await until(() => client.state === "reset");
    expect(forward.stats.refused).toBe(1);
  });

  test("a peer that never answers is given up in time", async () => {
    await listen("");
    const client = new Client({ ...(await start({ connectTimeoutMs: 50 })).address });
    await until(() => client.state === "reset");
  });
});

test("nobody at the Unix socket: clients are reset, the forward lives", async () => {
  const forward = await start();
  const client = new Client({ ...forward.address });
  await until(() => client.state === "reset");
  expect(forward.stats.refused).toBe(1);
});

test("a port in use is told in one line", async () => {
  const { port } = (await start()).address;
  await expect(start({ listen: { port } })).rejects.toMatchObject({ code: "EADDRINUSE" });
});
