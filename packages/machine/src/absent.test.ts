import { describe, expect, it } from "vitest";
import { absentBus, absentFiles, absentSockets } from "./absent.ts";

const missing = expect.objectContaining({ code: "ENODEV", message: expect.stringContaining("give it one") });

describe("calls of a device that is not there", () => {
  const files = absentFiles("no files: give it one");
  const sockets = absentSockets("no network: give it one");

  it("calls that wait reject, they do not throw", async () => {
    await expect(files.readdir("/").catch((error: unknown) => Promise.reject(error))).rejects.toEqual(missing);
    await expect(sockets.select({})).rejects.toEqual(missing);
  });

  it("try calls return an errno", () => {
    expect([files.tryStat("/"), files.tryPin({} as never, 0, 1)]).toEqual([-19, -19]);
    expect(sockets.trySend({} as never, new Uint8Array(1))).toBe(-19);
  });

  it("the others throw", () => {
    expect(() => sockets.socket()).toThrow(missing);
    expect(() => sockets.trySelect({})).toThrow(missing);
    expect(() => files.unpin({} as never)).toThrow(missing);
  });

  it("they can be awaited, printed and compared as any object", async () => {
    expect(await files).toBe(files);
    expect(JSON.stringify(files)).toBe("{}");
  });

  it("a bus with nobody on it is empty, and refuses", async () => {
    const bus = absentBus(0);
    expect([bus.core, bus.cores, bus.maxMessage, bus.tryReceive()]).toEqual([0, 1, 0, undefined]);
    expect(bus.trySend(1, new Uint8Array(1))).toBe(-19);
    await expect(bus.receive()).rejects.toThrow(/ENODEV.*--cores/);
    await expect(bus.send(1, new Uint8Array(1))).rejects.toThrow(/ENODEV/);
  });
});
