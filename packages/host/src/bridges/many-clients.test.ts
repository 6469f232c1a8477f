import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Client, GuestProgram, guestListen, pattern, startGuest, type TestGuest, until } from "../testing/guest.ts";

import { TcpForward } from "./tcp-forward.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let guest: TestGuest;
let forward: TcpForward;
let programs: GuestProgram[];

beforeEach(async () => {
  guest = await startGuest();
  programs = [];
  guestListen(guest, 80, (connection) => programs.push(new GuestProgram(connection)));
  forward = await TcpForward.start({ device: guest.device, listen: { port: 0 }, guestPort: 80 });
});
afterEach(async () => {
  await forward.close();
  guest.stop();
});

// Found by this test: their packets filled the memory of the guest's driver, and nobody could send any more.
test("200 clients that stop reading stop nobody else", async () => {
  const down = pattern(6_000_000);
  const stalled = Array.from({ length: 200 }, () => {
    const client = new Client({ ...forward.address });
    client.socket.pause();
    return client;
  });
  await until(() => programs.length === 200);
  for (const program of programs) program.send(down);
  let before = -1;
  await until(() => {
    const now = forward.stats.bytesInPlace + forward.stats.bytesCopied;
    const quiet = now === before && now > 50_000_000;
    before = now;
    return quiet;
  });
  const client = new Client({ ...forward.address });
  await until(() => programs.length === 201);
  const wanted = pattern(2_000_000, 5);
  programs[200]?.send(wanted);
  await until(
    () => client.receivedBytes === wanted.length,
    () => `${client.receivedBytes} bytes of ${wanted.length}`,
  );
  expect(client.received.equals(wanted)).toBe(true);
  for (const one of stalled) one.socket.resetAndDestroy();
  await until(() => forward.connections === 1);
  await until(() => guest.device.stats.headsHeld === 0);
});
