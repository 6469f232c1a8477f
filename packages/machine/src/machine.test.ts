import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { boot, client, echo, program, recorder } from "../test/support.ts";
import { createMachine } from "./create-machine.ts";
import type { MachineKind } from "./machine.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "toril-machine-"));
  writeFileSync(join(directory, "seven"), "1234567");
  writeFileSync(join(directory, "broken.mjs"), "export function main() { return 1 + ; }\n");
  writeFileSync(join(directory, "throws.mjs"), 'throw new Error("at import");\n');
});
afterAll(() => rmSync(directory, { recursive: true }));

const kinds: readonly MachineKind[] = ["inline", "dedicated"];

describe.each(kinds)("the %s machine: programs", (kind) => {
  it("runs a module's export, with a copy of its args, and tells its exit code", async () => {
    const { machine } = await boot(kind);
    const args = { code: 42, at: new Date(0) };
    const { ready, ended } = await machine.start(program("returnsArgs", args));
    expect(await ended).toEqual({ kind: "returned", code: 42 });
    expect(await ready).toBe("ended");
    await machine.stop();
  });

  it("without a name it runs `main`; a program that returns nothing has done its job", async () => {
    const { machine, find } = await boot(kind);
    const { module } = program("x") as { module: URL };
    expect(await (await machine.start({ module })).ended).toEqual({ kind: "returned", code: 0 });
    expect(find("main ran")).toMatchObject({ level: "info" });
    await machine.stop();
  });

  it("a program that throws has failed with its own error: name, message, code", async () => {
    const { machine, find } = await boot(kind);
    const exit = await (await machine.start(program("fails"))).ended;
    expect(exit).toMatchObject({
      kind: "failed",
      error: { name: "RangeError", message: "this program has a bug", code: "E_BUG" },
    });
    expect(find("a thread failed")?.level).toBe("error");
    await machine.stop();
  });

  it("a main that returns what is no exit code has failed", async () => {
    const { machine } = await boot(kind);
    const exit = await (await machine.start(program("returnsFunction"))).ended;
    expect(exit).toMatchObject({ kind: "failed", error: { message: /main returned a function/ } });
    await machine.stop();
  });

  it.each([
    ["broken.mjs", /Unexpected token|Expected/],
    ["throws.mjs", /at import/],
    ["nowhere.mjs", /nowhere\.mjs/],
  ])("start rejects when %s cannot be imported", async (name, message) => {
    const { machine } = await boot(kind);
    await expect(machine.start({ module: new URL(`file://${directory}/${name}`) })).rejects.toThrow(message);
    await machine.stop();
  });

  it("start rejects when the module has no such export", async () => {
    const { machine } = await boot(kind);
    const start = machine.start(program("nothing"));
    await expect(start).rejects.toThrow(expect.objectContaining({ code: "ENOENT" }));
    await expect(start).rejects.toThrow(/exports no function nothing/);
    await machine.stop();
  });

  it("args that cannot be copied are the caller's mistake", async () => {
    const { machine } = await boot(kind);
    await expect(machine.start(program("main", () => {}))).rejects.toThrow(TypeError);
    await machine.stop();
  });

  it("has one program, once", async () => {
    const { machine } = await boot(kind);
    const first = machine.start(program("main"));
    await expect(machine.start(program("main"))).rejects.toThrow(/has had its program/);
    await (await first).ended;
    await expect(machine.start(program("main"))).rejects.toThrow(/has had its program/);
    await machine.stop();
  });

  it("reads files and serves a forwarded port", async () => {
    const { machine } = await boot(kind, { directory: { path: directory } });
    const { ready } = await machine.start(program("echoes"));
    expect(await ready).toBe("ready");
    const forward = await machine.forward({ port: 0, guestPort: 7 });
    expect(forward.guestPort).toBe(7);
    const socket = await client(forward.port);
    expect(await echo(socket, "over the rings")).toBe("over the rings");
    const second = machine.forward({ port: forward.port, guestPort: 7 });
    await expect(second).rejects.toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
    socket.destroy();
    await forward.close();
    await machine.stop();
  });

  it("sees the directory", async () => {
    const { machine } = await boot(kind, { directory: { path: directory } });
    const { ended } = await machine.start(program("reads", { path: "/seven" }));
    expect(await ended).toEqual({ kind: "returned", code: 7 });
    await machine.stop();
  });

  it("has calls that say so when there is no directory and no other core", async () => {
    const { machine, find } = await boot(kind);
    await (await machine.start(program("triesEverything"))).ended;
    expect(find("missing")?.fields).toEqual({
      readdir: "SystemError: readdir: ENODEV: this machine has no directory: give it one (--dir)",
      tryStat: "-19",
      sendOnBus: "SystemError: send: ENODEV: this machine has one core: give it more (--cores)",
      trySendOnBus: "-19",
    });
    await machine.stop();
  });

  it("passes the log on, with levels and fields, in order", async () => {
    const { machine, lines } = await boot(kind);
    await (await machine.start(program("logs"))).ended;
    const own = lines.filter(({ message }) => ["one", "two", "three"].includes(message));
    expect(own).toEqual([
      { level: "info", message: "one", fields: { number: 1 } },
      { level: "warn", message: "two", fields: undefined },
      { level: "error", message: "three", fields: { text: "x", flag: true, none: undefined } },
    ]);
    await machine.stop();
  });

  it("counts: of the kernel, of devices, of the program, all of it plain data", async () => {
    const { machine } = await boot(kind, { directory: { path: directory } });
    await (await machine.start(program("reports"))).ready;
    const stats = await machine.stats();
    expect(stats.kind).toBe(kind);
    expect(stats.parts["my part"]).toEqual({ asked: 1, nested: { text: "yes" } });
    for (const part of ["core 0", "vsock driver", "vsock device", "file driver", "file device"]) {
      expect(Object.keys(stats.parts)).toContain(part);
    }
    expect(JSON.parse(JSON.stringify(stats))).toEqual(stats);
    await machine.stop();
  });
});

describe.each(kinds)("the %s machine: stopping", (kind) => {
  it("a program that heeds `stopping` ends by itself within its grace", async () => {
    const { machine, find } = await boot(kind);
    const { ready, ended } = await machine.start(program("waitsForStop"));
    await ready;
    await machine.stop({ graceMs: 10_000 });
    expect(find("tidied up")).toBeDefined();
    expect(await ended).toEqual({ kind: "returned", code: 5 });
  });

  it("one that waits in a system call is cancelled, runs its `finally`, and has done its job", async () => {
    const { machine, find } = await boot(kind);
    const { ready, ended } = await machine.start(program("sleepsForEver"));
    await ready;
    await machine.stop();
    expect(find("finally ran")).toBeDefined();
    expect(await ended).toEqual({ kind: "returned", code: 0 });
  });

  it("one that waits for something else is ended, and nobody waits for it for ever", async () => {
    const { machine } = await boot(kind);
    const { ready, ended } = await machine.start(program("ignoresStop"));
    await ready;
    await machine.stop({ graceMs: 10 });
    expect(await ended).toMatchObject({ kind: "failed", error: { message: /was ended/ } });
  });

  it("before a start, twice, and during a start", async () => {
    const { machine } = await boot(kind);
    await Promise.all([machine.stop(), machine.stop({ graceMs: 5 })]);
    await machine.stop();
    await expect(machine.start(program("main"))).rejects.toThrow(/has stopped/);
    await expect(machine.forward({ port: 0, guestPort: 7 })).rejects.toThrow(/has stopped/);

    const { machine: second } = await boot(kind);
    // It may have come up before it was told, or not: then its rejection comes while we wait for the stop.
    const over = second
      .start(program("sleepsForEver"))
      .then(({ ended }) => ended)
      .catch(() => {});
    await second.stop();
    await over;
  });

  it("cuts clients off and closes the port", async () => {
    const { machine } = await boot(kind);
    await (await machine.start(program("echoes"))).ready;
    const { port } = await machine.forward({ port: 0, guestPort: 7 });
    const socket = await client(port);
    await echo(socket, "hello");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    await machine.stop();
    await closed;
    await expect(client(port)).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe.each(kinds)("the %s machine: what cannot boot", (kind) => {
  it("a directory that is not there: its code and what to do, whatever the thread", async () => {
    const path = join(directory, "nowhere");
    const boots = boot(kind, { directory: { path } });
    await expect(boots).rejects.toThrow(expect.objectContaining({ code: "ENOENT", name: "HostDirectoryError" }));
    await expect(boots).rejects.toThrow(/nowhere/);
    const file = boot(kind, { directory: { path: join(directory, "seven") } });
    await expect(file).rejects.toThrow(expect.objectContaining({ code: "ENOTDIR" }));
  });

  it("is not reported as a death", async () => {
    const { log, lines } = recorder();
    await createMachine({ kind, log, directory: { path: join(directory, "nowhere") } }).catch(() => {});
    expect(lines.filter(({ message }) => /died|terminated/.test(message))).toEqual([]);
  });
});

describe("the inline machine", () => {
  it("takes a function", async () => {
    const { machine } = await boot("inline");
    const { ended } = await machine.start({ main: async (sys) => sys.threads.core + 3 });
    expect(await ended).toEqual({ kind: "returned", code: 3 });
    await machine.stop();
  });
});

describe("the dedicated machine", () => {
  it("takes no function", async () => {
    const { machine } = await boot("dedicated");
    await expect(machine.start({ main: async () => {} })).rejects.toThrow(/give it the module's URL/);
    await machine.stop();
  });
});
