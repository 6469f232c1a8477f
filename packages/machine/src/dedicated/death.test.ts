import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bootDedicated, client, echo, over, program } from "../../test/support.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "toril-death-"));
  writeFileSync(join(directory, "file"), new Uint8Array(1_000_000));
});
afterAll(() => rmSync(directory, { recursive: true }));

const options = () => ({ directory: { path: directory } });
const path = "/file";

describe("a core that dies", () => {
  it("killed while idle: reported, the program has failed, clients are cut off, the machine stops", async () => {
    const { machine, kill, find } = await bootDedicated(options());
    const { ready, ended } = await machine.start(program("echoes"));
    await ready;
    const { port } = await machine.forward({ port: 0, guestPort: 7 });
    const socket = await client(port);
    await echo(socket, "alive");
    const closed = over(socket);
    await kill("core 0");
    expect(await ended).toMatchObject({ kind: "failed", error: { message: /core 0 ended with exit code 1/ } });
    await closed;
    expect(find("core 0 died")?.level).toBe("error");
    const stats = await machine.stats();
    expect(stats.parts["core 0"]).toEqual({ missing: "its thread has ended" });
    await machine.stop();
  });

  it("killed in the middle of requests: both devices let go", async () => {
    const { machine, kill } = await bootDedicated(options());
    const { ready, ended } = await machine.start(program("pours", { path }));
    await ready;
    const { port } = await machine.forward({ port: 0, guestPort: 7 });
    const socket = await client(port);
    socket.resume();
    await once(socket, "data");
    const closed = over(socket);
    await kill("core 0");
    expect((await ended).kind).toBe("failed");
    await closed;
    await machine.stop();
  });

  it("process.exit in a program ends its core, and is told", async () => {
    const { machine, find } = await bootDedicated();
    const { ended } = await machine.start(program("exits"));
    expect(await ended).toMatchObject({ kind: "failed", error: { message: /exit code 9/ } });
    expect(find("core 0 died")?.fields).toEqual({ reason: "the thread of core 0 ended with exit code 9" });
    await machine.stop();
  });

  it("an exception that nobody catches, in a timer of Node's", async () => {
    const { machine, find } = await bootDedicated();
    const { ended } = await machine.start(program("throwsLater"));
    expect(await ended).toMatchObject({ kind: "failed", error: { message: "thrown in a timer" } });
    expect(find("core 0 died")?.fields).toEqual({ reason: "thrown in a timer" });
    await machine.stop();
  });

  it("a program that needs more than the script heap ends its own core only", async () => {
    const { machine, find } = await bootDedicated({ scriptHeap: 48 * 2 ** 20 });
    const { ended } = await machine.start(program("needsMuchMemory"));
    expect(await ended).toMatchObject({ kind: "failed", error: { code: "ERR_WORKER_OUT_OF_MEMORY" } });
    expect(find("core 0 died")).toBeDefined();
    await machine.stop();
  });

  it("one that never yields is terminated by stop, after its grace", async () => {
    const { machine, find } = await bootDedicated();
    const { ready, ended } = await machine.start(program("neverYields"));
    expect(await ready).toBe("ready");
    expect((await machine.stats()).parts["core 0"]).toEqual({ missing: "no answer within 1000 ms" });
    await machine.stop({ graceMs: 20 });
    expect((await ended).kind).toBe("failed");
    expect(find("core 0 did not end by itself and was terminated")?.level).toBe("warn");
  });

  it("what a program leaves behind in Node's event loop keeps no thread", async () => {
    const { machine, lines } = await bootDedicated();
    await (await machine.start(program("leavesTimer"))).ready;
    await machine.stop();
    expect(lines.filter(({ level }) => level === "warn")).toEqual([]);
  });
});

describe("a device thread that dies", () => {
  it("the vsock device's: clients are cut off, calls of the program fail, forwards say so", async () => {
    const { machine, kill, find } = await bootDedicated(options());
    const { ready, ended } = await machine.start(program("echoes"));
    await ready;
    const forward = await machine.forward({ port: 0, guestPort: 7 });
    const socket = await client(forward.port);
    await echo(socket, "alive");
    const closed = over(socket);
    await kill("vsock device");
    await closed;
    expect(await ended).toMatchObject({ kind: "failed", error: { name: "SystemError" } });
    expect(find("vsock device died")?.level).toBe("error");
    await forward.close();
    await expect(machine.forward({ port: 0, guestPort: 7 })).rejects.toThrow(/vsock device/);
    await machine.stop();
  });

  it("the vsock device's, in the middle of a transfer", async () => {
    const { machine, kill } = await bootDedicated(options());
    const { ready, ended } = await machine.start(program("pours", { path }));
    await ready;
    const { port } = await machine.forward({ port: 0, guestPort: 7 });
    const socket = await client(port);
    socket.resume();
    await once(socket, "data");
    const closed = over(socket);
    await kill("vsock device");
    await closed;
    expect((await ended).kind).toBe("failed");
    await machine.stop();
  });

  it("the file device's, in the middle of reads: they end with EIO", async () => {
    const { machine, kill, find } = await bootDedicated({ directory: { path: directory, cache: "none" } });
    const { ready, ended } = await machine.start(program("readsUntilItFails", { path }));
    await ready;
    await kill("file device");
    expect(await ended).toEqual({ kind: "returned", code: 1 });
    expect(find("reading ended")?.fields).toEqual({ code: "EIO" });
    await machine.stop();
  });

  it("the file device's, while idle: the next call ends, sockets go on", async () => {
    const { machine, kill } = await bootDedicated(options());
    await (await machine.start(program("echoes"))).ready;
    await kill("file device");
    const { port } = await machine.forward({ port: 0, guestPort: 7 });
    const socket = await client(port);
    expect(await echo(socket, "still there")).toBe("still there");
    socket.destroy();
    await machine.stop();
  });

  it("before the program is started: start rejects", async () => {
    const { machine, kill } = await bootDedicated(options());
    await kill("file device");
    await expect(machine.start(program("main"))).rejects.toThrow(/ended/);
    await machine.stop();
  });
});

describe("several cores", () => {
  const cores = 2;

  it("threads and messages go between them; the second has no devices and says so", async () => {
    const { machine, find } = await bootDedicated({ ...options(), cores });
    const { ended } = await machine.start(program("usesCoreOne"));
    expect(await ended).toEqual({ kind: "returned", code: 0 });
    expect(find("missing")?.fields).toMatchObject({
      readdir: "SystemError: readdir: ENODEV: core 1 has no files: the devices belong to core 0",
      socket: "ENODEV",
      trySelect: "ENODEV",
      select: "SystemError: select: ENODEV: core 1 has no network: the devices belong to core 0",
    });
    expect(find("core 1 failed")?.fields).toEqual({ message: expect.stringContaining("this program has a bug") });
    const { parts } = await machine.stats();
    expect(Object.keys(parts)).toEqual(expect.arrayContaining(["core 0", "core 1", "loop of core 1"]));
    await machine.stop();
  });

  it("a request to stop reaches all of them", async () => {
    const { machine, find } = await bootDedicated({ cores });
    const { ready, ended } = await machine.start(program("stopsOnCoreOne"));
    await ready;
    await machine.stop({ graceMs: 10_000 });
    expect(find("tidied up")).toBeDefined();
    expect(await ended).toEqual({ kind: "returned", code: 5 });
  });

  it("a second core that dies takes nobody with it: what waits for it ends with EHOSTDOWN", async () => {
    const { machine, kill, find } = await bootDedicated({ cores });
    const { ready, ended } = await machine.start(program("outlivesCoreOne"));
    await ready;
    await kill("core 1");
    expect(await ended).toEqual({ kind: "returned", code: 3 });
    const fields = { joined: "EHOSTDOWN", sent: "EHOSTDOWN", spawned: "EHOSTDOWN" };
    expect(find("core 1 is gone")?.fields).toEqual(fields);
    expect(find("core 1 died")?.level).toBe("error");
    await machine.stop();
  });

  it("a second core that hangs is terminated by stop", async () => {
    const { machine, find } = await bootDedicated({ cores });
    await (await machine.start(program("hangsCoreOne"))).ready;
    await machine.stop();
    expect(find("core 1 did not end by itself and was terminated")).toBeDefined();
  });

  it("eight of them boot and stop", async () => {
    const { machine } = await bootDedicated({ cores: 8, memory: 256 * 2 ** 20 });
    expect(await (await machine.start(program("usesCoreOne"))).ended).toEqual({ kind: "returned", code: 0 });
    await machine.stop();
  });
});
