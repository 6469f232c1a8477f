/** What the driver puts on the wire, byte by byte; the layouts are those of linux/fuse.h 7.38. */
import { beforeEach, describe, expect, test } from "vitest";
import { MemoryFileSystem } from "../device/index.ts";
import { goldenBytes } from "../testing/golden.ts";
import { ScriptedFuseDevice } from "../testing/scripted-fuse-device.ts";
import { TestMount } from "../testing/test-mount.ts";
import { Opcode } from "../wire/index.ts";

let device: ScriptedFuseDevice;
let mount: TestMount;

beforeEach(async () => {
  const fs = new MemoryFileSystem();
  fs.addFile("/d/f", "0123456789");
  device = new ScriptedFuseDevice(fs);
  mount = await TestMount.start(device, { cache: { mode: "none" } });
});

/** The last request with this opcode, its unique blanked (it is checked on its own). */
function last(opcode: number): { queue: number; bytes: Uint8Array; room: number } {
  const request = device.requests.filter((one) => one.opcode === opcode).at(-1);
  if (request === undefined) throw new Error(`no request ${opcode}`);
  const bytes = request.bytes.slice();
  bytes.fill(0, 8, 16);
  return { queue: request.queue, bytes, room: request.room };
}

describe("virtio 1.3 §5.11.6.1: requests as the device finds them", () => {
  test("INIT", () => {
    expect(last(Opcode.Init)).toEqual({
      queue: 1,
      room: 16 + 64,
      bytes: goldenBytes(`
        68 00 00 00              | len 104
        1a 00 00 00              | opcode 26 INIT
        00 00 00 00 00 00 00 00  | unique
        00 00 00 00 00 00 00 00  | nodeid
        00 00 00 00              | uid
        00 00 00 00              | gid
        00 00 00 00              | pid
        00 00 00 00              | total_extlen, padding
        07 00 00 00              | major
        26 00 00 00              | minor 38
        00 00 10 00              | max_readahead 1 MiB
        69 30 e4 00              | flags: ASYNC_READ ATOMIC_O_TRUNC BIG_WRITES DONT_MASK AUTO_INVAL_DATA DO_READDIRPLUS PARALLEL_DIROPS ABORT_ERROR MAX_PAGES CACHE_SYMLINKS
        00 00 00 00              | flags2
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00
      `),
    });
  });

  test("LOOKUP: the name and its NUL, on a request queue", async () => {
    await mount.run(mount.calls.stat("/d"));
    expect(last(Opcode.Lookup)).toEqual({
      queue: 1,
      room: 16 + 128,
      bytes: goldenBytes(`
        2a 00 00 00 01 00 00 00  | len 42, opcode 1 LOOKUP
        00 00 00 00 00 00 00 00  | unique
        01 00 00 00 00 00 00 00  | nodeid 1, the root
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        64 00                    | "d", NUL
      `),
    });
  });

  test("READ, WRITE: handle, offset beyond 4 GiB, size; data behind the arguments", async () => {
    const file = await mount.run(mount.calls.open("/d/f", { mode: "r+" }));
    await mount.run(mount.calls.pread(file, new Uint8Array(5), 2 ** 33 + 3));
    const read = last(Opcode.Read);
    expect(read.room).toBe(16 + 5);
    expect(read.bytes.subarray(48)).toEqual(
      goldenBytes(`
        03 00 00 00 02 00 00 00  | offset
        05 00 00 00 00 00 00 00  | size, read_flags
        00 00 00 00 00 00 00 00  | lock_owner
        02 00 00 00 00 00 00 00  | flags O_RDWR, padding
      `),
    );
    await mount.run(mount.calls.pwrite(file, Uint8Array.of(0xaa, 0xbb), 1));
    const write = last(Opcode.Write);
    expect(write.room).toBe(16 + 8);
    expect(write.bytes[0]).toBe(40 + 40 + 2);
    expect(write.bytes.subarray(48)).toEqual(
      goldenBytes(`
        01 00 00 00 00 00 00 00  | offset
        02 00 00 00 00 00 00 00  | size, write_flags
        00 00 00 00 00 00 00 00  | lock_owner
        02 00 00 00 00 00 00 00  | flags, padding
        aa bb                    | data
      `),
    );
  });

  test("RENAME2: new directory, flags, two names", async () => {
    await mount.run(mount.calls.rename("/d/f", "/g", { noReplace: true }));
    expect(last(Opcode.Rename2).bytes.subarray(40)).toEqual(
      goldenBytes(`
        01 00 00 00 00 00 00 00  | newdir, the root
        01 00 00 00 00 00 00 00  | RENAME_NOREPLACE, padding
        66 00 67 00              | "f", NUL, "g", NUL
      `),
    );
  });

  test("§5.11.6.2: FORGET and BATCH_FORGET go on hiprio, without room for a reply", async () => {
    await mount.run(mount.calls.stat("/d"));
    await mount.idle();
    const node = device.requests.find((one) => one.opcode === Opcode.Forget)?.node;
    expect(node).toBeGreaterThan(1);
    expect(last(Opcode.Forget)).toMatchObject({ queue: 0, room: 0 });
    expect(last(Opcode.Forget).bytes.subarray(40)).toEqual(goldenBytes("01 00 00 00 00 00 00 00 | nlookup"));
    await mount.run(mount.calls.stat("/d/f"));
    await mount.idle();
    const batch = last(Opcode.BatchForget);
    expect(batch).toMatchObject({ queue: 0, room: 0 });
    expect(batch.bytes.length).toBe(40 + 8 + 2 * 16);
    expect(batch.bytes.subarray(40, 48)).toEqual(goldenBytes("02 00 00 00 00 00 00 00 | count, dummy"));
  });

  test("INTERRUPT: on hiprio, names the request; its own unique has bit 0 set", async () => {
    device.script = (request) => (request.opcode === Opcode.Lookup ? "hold" : undefined);
    await expect(mount.run(mount.calls.stat("/d", { timeoutMs: 20 }))).rejects.toMatchObject({ code: "ETIMEDOUT" });
    await mount.idle();
    const lookup = device.requests.find((one) => one.opcode === Opcode.Lookup);
    const interrupt = device.requests.find((one) => one.opcode === Opcode.Interrupt);
    expect(interrupt).toMatchObject({ queue: 0, room: 16, unique: (lookup?.unique ?? 0) + 1 });
    expect(new DataView(interrupt?.bytes.buffer ?? new ArrayBuffer(48)).getBigUint64(40, true)).toBe(
      BigInt(lookup?.unique ?? 0),
    );
  });

  test("unique: even, never 0, never twice", async () => {
    for (let i = 0; i < 50; i++) await mount.run(mount.calls.stat("/d/f"));
    const uniques = device.requests.map((request) => request.unique);
    expect(new Set(uniques).size).toBe(uniques.length);
    expect(uniques.every((unique) => unique > 0 && unique % 2 === 0)).toBe(true);
  });
});
