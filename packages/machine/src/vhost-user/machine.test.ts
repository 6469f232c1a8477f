/** The vhost-user machine with real daemons. Where one is not installed the test is skipped and says so. */
import { mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Daemon, type DaemonName, findDaemons, startVhostDeviceVsock, startVirtiofsd } from "@toril/vhost-user";
import { afterEach, beforeEach, expect, type TestContext, test, vi } from "vitest";
import { client, echo, over, recorder } from "../../test/support.ts";
import { createMachine } from "../create-machine.ts";
import type { Machine, MachineOptions } from "../machine.ts";
import type { Sys } from "../sys.ts";

vi.setConfig({ testTimeout: 60_000 });

/** However busy the machine is. */
const eventually = (what: () => void | Promise<void>): Promise<void> => vi.waitFor(what, 30_000);

let folder = "";
let machine: Machine | undefined;
const daemons: Daemon[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "toril-machine-"));
  writeFileSync(join(folder, "seven"), "1234567");
});
afterEach(async () => {
  await machine?.stop();
  machine = undefined;
  for (const daemon of daemons.splice(0)) await daemon.stop();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Skips without the daemons; fails instead under TORIL_REQUIRE_PEERS=1. */
function need(context: TestContext, ...names: DaemonName[]): void {
  const missing = names.filter((name) => findDaemons(name).length === 0);
  if (process.getuid?.() !== 0) missing.push("virtiofsd");
  if (missing.length === 0) return;
  const reason = `${missing.join(", ")}: not installed, or not to be run by this user`;
  if (process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error(`TORIL_REQUIRE_PEERS=1, but ${reason}`);
  context.skip(reason);
}

async function boot(
  options: Omit<MachineOptions, "kind">,
): Promise<ReturnType<typeof recorder> & { machine: Machine }> {
  const recorded = recorder();
  machine = await createMachine({ kind: "vhost-user", ...options, log: recorded.log });
  return { machine, ...recorded };
}

/** Echoes on port 7; before that, says what is in the file. */
async function greeter(sys: Sys): Promise<void> {
  const file = await sys.fs.open("/seven");
  const bytes = new Uint8Array(16);
  sys.log.info("read", { text: sys.text.decode(bytes.subarray(0, await sys.fs.read(file, bytes))) });
  await sys.fs.close(file);
  const server = sys.net.socket();
  sys.net.bind(server, 7);
  sys.net.listen(server);
  sys.ready();
  for (;;) {
    const peer = await sys.net.accept(server, { signal: sys.stopping });
    void sys.threads.spawn(async (own) => {
      const target = new Uint8Array(4096);
      for (let count = 1; count > 0; ) {
        count = await own.net.recv(peer, target);
        if (count > 0) await own.net.send(peer, target.subarray(0, count));
      }
      own.net.close(peer);
    });
  }
}

/** Boots the greeter, and talks to it. */
async function greeted(options: Omit<MachineOptions, "kind">): Promise<Machine> {
  const { machine, find } = await boot(options);
  const program = await machine.start({ main: greeter });
  expect(await program.ready).toBe("ready");
  expect(find("read")?.fields).toEqual({ text: "1234567" });
  const { port } = await machine.forward({ port: 0, guestPort: 7 });
  const socket = await client(port);
  expect(await echo(socket, "hello, guest")).toBe("hello, guest");
  const gone = over(socket);
  socket.end();
  await machine.stop();
  await gone;
  expect(await program.ended).toEqual({ kind: "returned", code: 0 });
  return machine;
}

async function virtiofsd(): Promise<Daemon> {
  const daemon = await startVirtiofsd({ directory: folder });
  daemons.push(daemon);
  return daemon;
}

test("spawn: virtiofsd and vhost-device-vsock are started, said, and ended", async (context) => {
  need(context, "virtiofsd", "vhost-device-vsock");
  const { description } = await greeted({ directory: { path: folder }, vhostUser: { spawn: true } });
  expect(description[0]).toMatch(/files: virtiofsd \d\S* \(pid \d+\) serves .*; vsock: vhost-device-vsock \d/);
  for (const [, pid] of (description[0] ?? "").matchAll(/pid (\d+)/g)) {
    expect(() => process.kill(Number(pid), 0)).toThrow(/ESRCH/);
  }
});

test("spawn without vhost-device-vsock: our own device beside virtiofsd", async (context) => {
  need(context, "virtiofsd");
  vi.stubEnv("TORIL_VHOST_DEVICE_VSOCK", "/nonexistent");
  const { description } = await greeted({ directory: { path: folder }, vhostUser: { spawn: true } });
  expect(description[0]).toMatch(/files: virtiofsd .*; vsock: our own device, CID 3/);
});

test("a file back-end beside our own vsock device", async (context) => {
  need(context, "virtiofsd");
  const { socketPath } = await virtiofsd();
  const { description } = await greeted({ vhostUser: { fs: { socket: socketPath } }, cid: 9 });
  expect(description[0]).toBe(`vhost-user machine: files: the back-end at ${socketPath}; vsock: our own device, CID 9`);
});

test("a vsock back-end beside our own file device", async (context) => {
  need(context, "vhost-device-vsock");
  const daemon = await startVhostDeviceVsock({ guestCid: 77 });
  daemons.push(daemon);
  const vsock = { socket: daemon.socketPath, uds: daemon.hostSocketPath };
  const { description } = await greeted({ directory: { path: folder }, vhostUser: { vsock } });
  expect(description[0]).toMatch(/files: our own device serves .*; vsock: the back-end at /);
  expect(description[2]).toMatch(/guest CID 77/);
});

/** The file is read again and again: it works, it fails, it works again. */
test("virtiofsd is killed: calls end with EIO, then the next one serves the same open file", async (context) => {
  need(context, "virtiofsd");
  const { machine } = await boot({ directory: { path: folder, cache: "none" }, vhostUser: { spawn: true } });
  const outcomes: string[] = [];
  const program = await machine.start({
    async main(sys) {
      const file = await sys.fs.open("/seven");
      await sys.fs.stat(file);
      for (let rounds = 0; rounds < 10_000; rounds++) {
        try {
          const bytes = new Uint8Array(7);
          await sys.fs.pread(file, bytes, 0);
          const text = sys.text.decode(bytes);
          if (outcomes.at(-1) !== text) outcomes.push(text);
          sys.ready();
          if (outcomes.length === 3) return;
        } catch (error) {
          const { code } = error as { code: string };
          if (outcomes.at(-1) !== code) outcomes.push(code);
        }
        await sys.threads.sleep(2);
      }
    },
  });
  await program.ready;
  const pid = async (): Promise<number> => Number((await machine.stats()).parts["file device"]?.["pid"]);
  const first = await pid();
  process.kill(-first, "SIGKILL");
  expect(await program.ended).toEqual({ kind: "returned", code: 0 });
  expect(outcomes).toEqual(["1234567", "EIO", "1234567"]);
  await eventually(async () => expect((await machine.stats()).parts["file device"]).toMatchObject({ restarts: 1 }));
  expect(await pid()).not.toBe(first);
});

test("a back-end that comes back at its socket is found again", async (context) => {
  need(context, "virtiofsd");
  const socket = join(folder, "fs.sock");
  const first = await virtiofsd();
  symlinkSync(first.socketPath, socket);
  const { machine } = await boot({ vhostUser: { fs: { socket, cache: "none" } } });
  const program = await machine.start({
    async main(sys) {
      sys.ready();
      let failed = false;
      for (let rounds = 0; rounds < 10_000; rounds++) {
        const found = await sys.fs.stat("/seven").catch(() => undefined);
        if (found === undefined) failed = true;
        else if (failed) return Number(found.size);
        await sys.threads.sleep(2);
      }
      return 1;
    },
  });
  await program.ready;
  await first.stop();
  const second = await virtiofsd();
  symlinkSync(second.socketPath, `${socket}.new`);
  renameSync(`${socket}.new`, socket);
  expect(await program.ended).toEqual({ kind: "returned", code: 7 });
});

test("no descriptor is left, after good boots and bad ones", async (context) => {
  need(context, "virtiofsd", "vhost-device-vsock");
  const open = (): number => readdirSync("/proc/self/fd").length;
  const options = { directory: { path: folder }, vhostUser: { spawn: true } } as const;
  await greeted(options);
  const before = open();
  for (let i = 0; i < 3; i++) await greeted(options);
  vi.stubEnv("TORIL_VHOST_DEVICE_VSOCK", "/bin/false");
  await expect(boot(options)).rejects.toMatchObject({ code: "ECHILD" });
  vi.stubEnv("TORIL_VIRTIOFSD", "/nonexistent");
  await expect(boot(options)).rejects.toMatchObject({ code: "ENOENT", message: /qemu-system-common.*cargo/ });
  await expect(boot({ vhostUser: { fs: { socket: join(folder, "nobody") } } })).rejects.toMatchObject({
    code: "ECONNREFUSED",
  });
  await expect(boot({ directory: { path: join(folder, "no") }, vhostUser: { spawn: true } })).rejects.toMatchObject({
    code: "ENOENT",
    message: /there is no such directory/,
  });
  await eventually(() => expect(open()).toBeLessThanOrEqual(before));
});
