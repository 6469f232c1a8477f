import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { DeviceType } from "@toril/virtio";
import { expect, test, vi } from "vitest";
import { libc } from "../ffi/libc.ts";
import { virtioFsConfig } from "../front-end/options.ts";
import { connectFrontEnd } from "../front-end/transport.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import { mountOn, temporaryRoot } from "../testing/mounts.ts";
import { needPeer, virtiofsdPeer } from "../testing/peers.ts";
import { SleepingLoop } from "../testing/sleeping-loop.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { supervise } from "./supervisor.ts";
import { startVirtiofsd } from "./virtiofsd.ts";

vi.setConfig({ testTimeout: 60_000 });

/** A daemon that serves nothing: it makes its file and stays. */
const standIn = (then: string): Promise<Daemon> =>
  startDaemon({
    name: "stand-in",
    command: "/bin/sh",
    flags: (folder) => ["-c", `: > ${folder}/socket; echo hello >&2; ${then}`],
    socket: "socket",
  });

test("a daemon that is killed is replaced, and the same transport goes on with the next", async (context) => {
  const peer = virtiofsdPeer("c");
  needPeer(peer, context);
  const root = temporaryRoot();
  writeFileSync(join(root, "file"), "12345");
  const memory = new MemfdMemory(32 * 2 ** 20);
  let reconnected = (): void => {};
  const supervisor = await supervise({
    name: "virtiofsd",
    start: () => startVirtiofsd({ directory: root, command: peer.command }),
    replaced: async (daemon) => {
      await transport.reconnect({ socketPath: daemon.socketPath });
      reconnected();
    },
  });
  const options = { socketPath: supervisor.daemon.socketPath, memory, deviceType: DeviceType.FileSystem };
  const transport = await connectFrontEnd({ ...options, config: virtioFsConfig("host") });
  const loop = new SleepingLoop();
  let mounted = await mountOn(transport, root, "none", loop);
  for (let i = 1; i <= 3; i++) {
    expect(await mounted.calls.stat("/file")).toMatchObject({ size: 5 });
    const back = new Promise<void>((resolve) => {
      reconnected = resolve;
    });
    supervisor.daemon.signal("SIGKILL");
    await back;
    await mounted.driver.close();
    loop.remove(mounted.driver);
    mounted = await mountOn(transport, root, "none", loop, mounted.heap);
    expect(supervisor.restarts).toBe(i);
  }
  expect(await mounted.calls.stat("/file")).toMatchObject({ size: 5 });
  await mounted.driver.close();
  loop.stop();
  await transport.close();
  await supervisor.stop();
  memory.close();
});

test("a daemon that keeps ending is given up after so many attempts, with what it said", async () => {
  const reasons: string[] = [];
  let starts = 0;
  const supervisor = await supervise({
    name: "stand-in",
    start: () => {
      starts++;
      return starts === 1 ? standIn("exit 3") : standIn("exit 4");
    },
    replaced: () => Promise.reject(new Error("nobody home")),
    attempts: 3,
    gaveUp: (reason) => reasons.push(reason),
  });
  await vi.waitFor(() => expect(reasons).toHaveLength(1), 30_000);
  expect(starts).toBe(4);
  expect(reasons[0]).toMatch(/nobody home|exit code/);
  await supervisor.stop();
});

test("a start that fails in any way counts as an attempt: nothing escapes", async () => {
  const reasons: string[] = [];
  let starts = 0;
  const supervisor = await supervise({
    name: "stand-in",
    start: () => (++starts === 1 ? standIn("exit 3") : Promise.reject(new TypeError("EMFILE: too many open files"))),
    replaced: async () => {},
    attempts: 2,
    gaveUp: (reason) => reasons.push(reason),
  });
  await vi.waitFor(() => expect(reasons).toHaveLength(1), 30_000);
  expect(reasons[0]).toMatch(/EMFILE/);
  await supervisor.stop();
});

test("a socket that is bound and does not listen yet is not taken for a daemon that serves", async () => {
  const { call } = libc();
  const fd = Number(call.socket(1, 1, 0));
  let listens = false;
  const daemon = await startDaemon({
    name: "slow",
    command: "/bin/sh",
    flags: (folder) => {
      const address = Buffer.from(`\u0001\0${folder}/socket\0`, "latin1");
      expect(Number(call.bind(fd, address, address.length))).toBe(0);
      setTimeout(() => {
        listens = Number(call.listen(fd, 1)) === 0;
      }, 100);
      return ["-c", "sleep 60"];
    },
    socket: "socket",
  });
  expect(listens).toBe(true);
  const socket = connect(daemon.socketPath);
  await once(socket, "connect");
  socket.destroy();
  libc().close(fd);
  await daemon.stop();
});

test("stopping ends the daemon, also one that takes no notice of SIGTERM, and removes its folder", async () => {
  const supervisor = await supervise({
    name: "stand-in",
    start: () => standIn("trap '' TERM; while :; do sleep 1; done"),
    replaced: async () => {},
  });
  const { daemon } = supervisor;
  expect(daemon.running).toBe(true);
  await supervisor.stop();
  expect(daemon.running).toBe(false);
  expect(await daemon.ended).toBe("SIGKILL");
  expect(supervisor.restarts).toBe(0);
});
