import { busBytes } from "@toril/kernel";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MachineOptions } from "./machine.ts";
import { describeMachine, machineSettings } from "./settings.ts";

const MIB = 2 ** 20;
const dedicated = (options: Omit<MachineOptions, "kind">) => machineSettings({ kind: "dedicated", ...options });

describe("machineSettings", () => {
  it("gives each core 64 MiB and a quarter of it to the file cache, unless told otherwise", () => {
    const { cores, memory, directory, cid, txPath } = machineSettings({ kind: "inline", directory: { path: "/x" } });
    expect(cores).toEqual([{ base: 0, size: 64 * MIB }]);
    expect(memory).toBe(64 * MIB);
    expect(directory).toEqual({ path: "/x", access: "read-only", cache: "auto", cacheBytes: 16 * MIB });
    expect([cid, txPath]).toEqual([3, "zero-copy"]);
  });

  it("lays out any number of cores behind the bus, of one size, apart from each other, page by page", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 0, max: 1 << 20 }), (count, extra) => {
        const least = count * 16 * MIB;
        const reserved = count === 1 ? 0 : (dedicated({ cores: count }).cores[0]?.base ?? 0);
        const { cores, memory, bus } = dedicated({ cores: count, memory: reserved + least + extra });
        expect(bus === undefined).toBe(count === 1);
        if (bus !== undefined) expect(cores[0]?.base).toBeGreaterThanOrEqual(busBytes(bus));
        cores.forEach(({ base, size }, i) => {
          expect([base % 65_536, size % 65_536, size]).toEqual([0, 0, cores[0]?.size]);
          const next = cores[i + 1];
          expect(base + size).toBe(next === undefined ? memory : next.base);
        });
        expect(memory).toBeLessThanOrEqual(reserved + least + extra);
      }),
    );
  });

  it.each([
    [{ kind: "inline", cores: 2 }, /has one core, not 2/],
    [{ kind: "dedicated", cores: 0 }, /0 cores/],
    [{ kind: "dedicated", cores: 65 }, /65 cores/],
    [{ kind: "dedicated", cores: 1.5 }, /1.5 cores/],
    [{ kind: "inline", memory: 16 * MIB - 1 }, /guest memory for 1 cores: use 16777216 to/],
    [{ kind: "dedicated", cores: 2, memory: 32 * MIB }, /for 2 cores/],
    [{ kind: "dedicated", memory: 2 ** 32 }, /4294967296 bytes/],
    [{ kind: "inline", memory: Number.NaN }, /NaN bytes/],
    [{ kind: "inline", cid: 2 }, /2/],
    [{ kind: "dedicated", scriptHeap: 1_000 }, /1000 bytes/],
  ] as const)("%o is a RangeError", (options, message) => {
    expect(() => machineSettings(options)).toThrow(RangeError);
    expect(() => machineSettings(options)).toThrow(message);
  });
});

describe("describeMachine", () => {
  it("says in a line each what cores and devices there are", () => {
    const directory = { path: "/site", cache: "none", access: "writable" } as const;
    expect(describeMachine(dedicated({ cores: 2, directory }))).toEqual([
      "dedicated machine: 4 threads: one for each core and each device",
      "core 0: 64 MiB of guest memory, vsock and file drivers",
      "core 1: 64 MiB of guest memory, no devices",
      "vsock device: CID 3, zero-copy, dedicated to core 0",
      "file device: /site, writable, no cache, dedicated to core 0",
    ]);
    expect(describeMachine(machineSettings({ kind: "inline", cid: 9, txPath: "one-copy" }))).toEqual([
      "inline machine: all in one thread",
      "core 0: 64 MiB of guest memory, vsock driver",
      "vsock device: CID 9, one-copy, dedicated to core 0",
      "file device: none",
    ]);
  });
});
