import { createServer, type Server } from "node:net";
import { HOST_CID, port, type VsockConnection } from "@toril/vsock";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GuestProgram, pattern, startGuest, type TestGuest, until } from "../testing/guest.ts";

import { TcpConnector } from "./tcp-connector.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let guest: TestGuest;
let server: Server;
let target: { host: string; port: number };

beforeEach(async () => {
  guest = await startGuest();
  server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {}); // a test that resets its connection
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  target = { host: "127.0.0.1", port: (server.address() as { port: number }).port };
});
afterEach(async () => {
  guest.stop();
  await new Promise((resolve) => server.close(resolve));
});

function dial(number: number): GuestProgram {
  const connection: VsockConnection = guest.driver.connect({ cid: HOST_CID, port: port(number) });
  return new GuestProgram(connection);
}

test("the guest reaches a target that is listed, and bytes come back as they were", async () => {
  const connector = new TcpConnector({ device: guest.device, targets: new Map([[5432, target]]) });
  const program = dial(5432);
  await until(() => program.connection.status === "established");
  const bytes = pattern(2_000_000);
  program.send(bytes);
  program.end();
  await until(() => program.ended && program.closed !== undefined);
  expect([program.received.equals(bytes), program.closed]).toEqual([true, 0]);
  await connector.close();
});

test("every other port is refused, and all of them after close", async () => {
  const connector = new TcpConnector({ device: guest.device, targets: new Map([[5432, target]]) });
  const refused = dial(5433);
  await until(() => refused.closed !== undefined);
  await connector.close();
  const late = dial(5432);
  await until(() => late.closed !== undefined);
  expect([refused.closed, late.closed]).toEqual([111, 111]);
});

test("a target where nobody listens ends the guest's connection", async () => {
  const closed = { host: "127.0.0.1", port: 1 };
  const connector = new TcpConnector({ device: guest.device, targets: new Map([[5432, closed]]) });
  const program = dial(5432);
  await until(() => program.closed !== undefined);
  expect(program.closed).not.toBe(0);
  expect(connector.connections).toBe(0);
  await connector.close();
});

test("connections beyond the limit are refused", async () => {
  const options = { device: guest.device, targets: new Map([[5432, target]]), maxConnections: 1 };
  const connector = new TcpConnector(options);
  const first = dial(5432);
  await until(() => first.connection.status === "established");
  const second = dial(5432);
  await until(() => second.closed !== undefined);
  expect([second.closed, connector.connections]).toEqual([111, 1]);
  await connector.close();
});
