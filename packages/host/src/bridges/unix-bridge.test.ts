import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOST_CID, port } from "@toril/vsock";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Client, GuestProgram, guestListen, pattern, startGuest, type TestGuest, until } from "../testing/guest.ts";

import { UnixBridge, type UnixBridgeOptions } from "./unix-bridge.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let guest: TestGuest;
let folder: string;
let path: string;
let programs: GuestProgram[];
const bridges: UnixBridge[] = [];

beforeEach(async () => {
  guest = await startGuest();
  folder = mkdtempSync(join(tmpdir(), "toril-uds-"));
  path = join(folder, "v.sock");
  programs = [];
  guestListen(guest, 52, (connection) => programs.push(new GuestProgram(connection)));
});
afterEach(async () => {
  for (const bridge of bridges.splice(0)) await bridge.close();
  guest.stop();
  rmSync(folder, { recursive: true });
});

async function start(options: Partial<UnixBridgeOptions> = {}): Promise<UnixBridge> {
  const bridge = await UnixBridge.start({ device: guest.device, path, ...options });
  bridges.push(bridge);
  return bridge;
}

describe("host to guest", () => {
  test("CONNECT is answered with OK and a port, then bytes flow both ways; what came early is not lost", async () => {
    await start();
    const client = new Client({ path });
    const up = pattern(1_000_000);
    client.socket.write(Buffer.concat([Buffer.from("CONNECT 52\n"), up]));
    await until(() => programs[0]?.receivedBytes === up.length);
    expect(programs[0]?.received.equals(up)).toBe(true);
    programs[0]?.send("answer");
    programs[0]?.end();
    await until(() => client.state === "ended");
    expect(client.received.toString()).toMatch(/^OK \d+\nanswer$/);
    client.socket.end();
    await until(() => programs[0]?.closed === 0);
  });

  test("a line that is something else, a port where nobody listens, or no line: the connection is closed", async () => {
    const bridge = await start({ lineTimeoutMs: 30 });
    for (const line of ["GET / HTTP/1.1\n", "x".repeat(1000), "CONNECT 53\n", ""]) {
      const client = new Client({ path });
      if (line !== "") client.socket.write(line);
      await until(() => client.state !== "open");
      expect(client.receivedBytes).toBe(0);
      client.socket.destroy();
    }
    await until(() => bridge.connections === 0);
  });
});

describe("guest to host", () => {
  test("a connection to port N reaches the Unix socket PATH_N", async () => {
    await start();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {}); // a test that resets its connection
      socket.pipe(socket);
    });
    await new Promise<void>((resolve) => server.listen(`${path}_1234`, resolve));
    const program = new GuestProgram(guest.driver.connect({ cid: HOST_CID, port: port(1234) }));
    const bytes = pattern(500_000);
    program.send(bytes);
    await until(() => program.connection.status === "established");
    program.send(bytes);
    program.end();
    await until(() => program.closed !== undefined);
    expect(program.receivedBytes).toBe(1_000_000);
    await new Promise((resolve) => server.close(resolve));
  });

  test("without such a socket the guest is refused", async () => {
    await start();
    writeFileSync(`${path}_9`, "no socket");
    for (const number of [1234, 9]) {
      const program = new GuestProgram(guest.driver.connect({ cid: HOST_CID, port: port(number) }));
      await until(() => program.closed !== undefined);
      expect(program.closed).toBe(111);
    }
  });
});

describe("the socket file", () => {
  test("one that a dead program left is replaced, and ours is removed with us", async () => {
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    expect(existsSync(path)).toBe(true);
    const bridge = await start();
    await bridge.close();
    expect(existsSync(path)).toBe(false);
  });

  test("one that somebody listens on is EADDRINUSE, another file EEXIST: neither is touched", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await expect(start()).rejects.toMatchObject({ code: "EADDRINUSE" });
    await new Promise((resolve) => other.close(resolve));
    writeFileSync(path, "precious");
    await expect(start()).rejects.toMatchObject({ code: "EEXIST" });
    expect(existsSync(path)).toBe(true);
  });
});
