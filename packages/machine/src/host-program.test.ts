import { threadId } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { boot, program } from "../test/support.ts";
import type { Machine } from "./machine.ts";

const module = new URL("../test/host-ends.ts", import.meta.url);

describe.each(["inline", "dedicated"] as const)("runHost on the %s machine", (kind) => {
  let machine: Machine | undefined;
  afterEach(() => machine?.stop());

  it("runs beside the vsock device: connects to the guest without a socket, reads the device's counters", async () => {
    ({ machine } = await boot(kind));
    await (await machine.start(program("echoes"))).ready;
    const args = { port: 7, text: "hello" };
    const { thread, ...rest } = (await machine.runHost({ module, export: "echoed", args })) as { thread: number };
    expect(rest).toEqual({ back: "hello", bytesFromGuest: 5 });
    expect(thread === threadId).toBe(kind === "inline");
    expect(machine.hostSocket).toBeUndefined();
  });

  it("one clock for all threads", async () => {
    ({ machine } = await boot(kind));
    const times: number[] = [];
    for (let i = 0; i < 3; i++) times.push((await machine.runHost({ module, export: "time" })) as number);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    // The same as this thread's, whose reading comes later: the system's monotonic clock.
    const [seconds, nanoseconds] = process.hrtime();
    expect(times[2]).toBeLessThan(seconds * 1e3 + nanoseconds / 1e6);
    expect(times[0]).toBeGreaterThan(seconds * 1e3 - 60_000);
  });

  it("tells what goes wrong: no such function, what it throws, what cannot be copied", async () => {
    ({ machine } = await boot(kind));
    await expect(machine.runHost({ module })).rejects.toMatchObject({ code: "ENOENT" });
    await expect(machine.runHost({ module, export: "fails" })).rejects.toThrow("as it was told to");
    await expect(machine.runHost({ module, export: "returnsFunction" })).rejects.toThrow(/could not be cloned/);
    await expect(machine.runHost({ module, args: () => {} })).rejects.toThrow(/args are copied/);
    await machine.stop();
    await expect(machine.runHost({ module, export: "time" })).rejects.toThrow("this machine has stopped");
  });
});
