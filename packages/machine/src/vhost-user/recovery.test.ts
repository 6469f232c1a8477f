/** Daemons that die or stand still under a machine: programs are told, and go on with the next daemon. */
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Daemon, findDaemons, startVhostDeviceVsock } from "@toril/vhost-user";
import { afterEach, beforeEach, expect, type TestContext, test, vi } from "vitest";
import { client, over, recorder } from "../../test/support.ts";
import { createMachine } from "../create-machine.ts";
import type { Machine, MachineOptions } from "../machine.ts";
import type { Sys } from "../sys.ts";

vi.setConfig({ testTimeout: 120_000 });

let folder = "";
let machine: Machine | undefined;
const daemons: Daemon[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "toril-recovery-"));
  writeFileSync(join(folder, "seven"), "1234567");
});
afterEach(async () => {
  await machine?.stop();
  machine = undefined;
  for (const daemon of daemons.splice(0)) await daemon.stop();
  rmSync(folder, { recursive: true });
});

/** Skips without the daemons; fails instead under TORIL_REQUIRE_PEERS=1. */
function need(context: TestContext): void {
  const missing = (["virtiofsd", "vhost-device-vsock"] as const).filter((name) => findDaemons(name).length === 0);
  if (missing.length === 0 && process.getuid?.() === 0) return;
  const reason = `not installed, or not to be run by this user: ${missing.join(", ")}`;
  if (process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error(`TORIL_REQUIRE_PEERS=1, but ${reason}`);
  context.skip(reason);
}

async function boot(options: Omit<MachineOptions, "kind">): Promise<Machine> {
  machine = await createMachine({ kind: "vhost-user", ...options, log: recorder().log });
  return machine;
}

const part = async (on: Machine, name: string): Promise<Readonly<Record<string, unknown>>> =>
  (await on.stats()).parts[name] ?? {};

/** Echoes on port 7, whatever happens to its connections. Stops when asked. */
async function echoes(sys: Sys): Promise<void> {
  const server = sys.net.socket();
  sys.net.bind(server, 7);
  sys.net.listen(server);
  sys.ready();
  while (!sys.stopping.aborted) {
    const peer = await sys.net.accept(server, { signal: sys.stopping });
    void sys.threads.spawn(async (own) => {
      const target = new Uint8Array(4096);
      try {
        for (let count = 1; count > 0; ) {
          count = await own.net.recv(peer, target);
          if (count > 0) await own.net.send(peer, target.subarray(0, count));
        }
      } catch (error) {
        own.log.info("a connection ended", { code: (error as { code?: string }).code });
      }
      own.net.close(peer);
    });
  }
}

/** One exchange over a new connection; `undefined` when it was refused, or cut off. */
async function exchange(port: number, text: string): Promise<string | undefined> {
  const socket = await client(port);
  const gone = over(socket);
  let got = "";
  const answered = new Promise<void>((resolve) => {
    socket.on("data", (bytes) => {
      got += String(bytes);
      if (got.length >= text.length) resolve();
    });
  });
  socket.write(text);
  await Promise.race([answered, gone]);
  socket.destroy();
  return got === text ? got : undefined;
}

async function untilItEchoes(port: number, text: string): Promise<void> {
  await vi.waitFor(async () => expect(await exchange(port, text)).toBe(text), { timeout: 60_000, interval: 50 });
}

/** The connection that stands ends; the listening socket stays. */
async function goesOnAfter(on: Machine, port: number, kill: () => Promise<void> | void): Promise<void> {
  const standing = await client(port);
  standing.write("before");
  await new Promise((resolve) => standing.once("data", resolve));
  const gone = over(standing);
  await kill();
  await gone;
  await untilItEchoes(port, "after");
  const { connectionsOpened } = await part(on, "vsock driver");
  expect(Number(connectionsOpened)).toBeGreaterThan(0);
}

test("vhost-device-vsock is killed, twice: connections end, the listening socket and the forward go on", async (context) => {
  need(context);
  const on = await boot({ vhostUser: { spawn: true } });
  const program = await on.start({ main: echoes });
  await program.ready;
  const { port } = await on.forward({ port: 0, guestPort: 7 });
  for (let round = 1; round <= 2; round++) {
    const pid = Number((await part(on, "vsock device"))["pid"]);
    await goesOnAfter(on, port, () => void process.kill(-pid, "SIGKILL"));
    expect(await part(on, "vsock device")).toMatchObject({ restarts: round, lost: "no" });
    expect((await part(on, "vsock device"))["pid"]).not.toBe(pid);
  }
  await on.stop();
  expect(await program.ended).toMatchObject({ kind: "returned" });
});

test("a vsock back-end that comes back at its socket is found again, and serves the same listening socket", async (context) => {
  need(context);
  const [socket, uds] = [join(folder, "v.sock"), join(folder, "u.sock")];
  /** The links lead to the daemon that runs now. */
  const lead = (to: { socketPath: string; hostSocketPath: string }): void => {
    for (const [link, path] of [[socket, to.socketPath] as const, [uds, to.hostSocketPath] as const]) {
      symlinkSync(path, `${link}.new`);
      renameSync(`${link}.new`, link);
    }
  };
  const first = await startVhostDeviceVsock({ guestCid: 50 });
  daemons.push(first);
  lead(first);
  const on = await boot({ vhostUser: { vsock: { socket, uds } } });
  const program = await on.start({ main: echoes });
  await program.ready;
  const { port } = await on.forward({ port: 0, guestPort: 7 });
  await goesOnAfter(on, port, async () => {
    await first.stop();
    const second = await startVhostDeviceVsock({ guestCid: 51 });
    daemons.push(second);
    lead(second);
  });
  expect(await part(on, "vsock device")).toMatchObject({ reconnects: 1, lost: "no" });
});

test("virtiofsd stands still: calls end with EIO in bounded time, no memory is lost, another one serves", async (context) => {
  need(context);
  const on = await boot({
    directory: { path: folder, cache: "none" },
    vhostUser: { spawn: true, answerTimeoutMs: 1_000 },
  });
  const seen: string[] = [];
  const program = await on.start({
    async main(sys) {
      for (let good = 0; good < 20; await sys.threads.sleep(5)) {
        const outcome = await sys.fs.stat("/seven").then(
          ({ size }) => String(size),
          (error: { code: string }) => error.code,
        );
        if (seen.at(-1) !== outcome) seen.push(outcome);
        if (outcome === "7") sys.ready();
        if (seen.includes("EIO") && outcome === "7") good++;
      }
    },
  });
  await program.ready;
  const heapBefore = (await part(on, "core 0"))["heap"] as { bytesInUse: number };
  const pid = Number((await part(on, "file device"))["pid"]);
  process.kill(-pid, "SIGSTOP");
  expect(await program.ended).toMatchObject({ kind: "returned" });
  expect(seen.slice(0, 2)).toEqual(["7", "EIO"]);
  expect(seen.at(-1)).toBe("7");
  expect(Number((await part(on, "file device"))["restarts"])).toBeGreaterThanOrEqual(1);
  const heapAfter = (await part(on, "core 0"))["heap"] as { bytesInUse: number };
  expect(heapAfter.bytesInUse).toBe(heapBefore.bytesInUse);
});
