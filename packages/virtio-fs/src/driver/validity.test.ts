/** What is believed, and for how long; and what it costs to ask again. */
import { Errno } from "@toril/virtio/platform";
import { beforeEach, describe, expect, test } from "vitest";
import { MemoryFileSystem } from "../device/index.ts";
import type { FilePiece } from "../file-calls.ts";
import { ScriptedFuseDevice } from "../testing/scripted-fuse-device.ts";
import { TestMount } from "../testing/test-mount.ts";
import { Opcode } from "../wire/index.ts";
import type { CacheMode } from "./cache-policy.ts";

let fs: MemoryFileSystem;
let device: ScriptedFuseDevice;
let ticks = 0;

async function mounted(mode: CacheMode, options = {}): Promise<TestMount> {
  return TestMount.start(device, { cache: { mode, bytes: 2 ** 20 }, ...options });
}

/** Requests since the last call of this function, by opcode, forgets left out. */
function asked(): number[] {
  const opcodes = device.requests.filter((request) => request.queue > 0).map((request) => request.opcode);
  device.requests.length = 0;
  return opcodes;
}

/** `count` bytes of one value. */
const bytes = (value: number, count = 100): Uint8Array => new Uint8Array(count).fill(value);

async function readAll(mount: TestMount, path: string): Promise<Uint8Array> {
  const file = await mount.run(mount.calls.open(path));
  const target = new Uint8Array(400_000);
  const count = await mount.run(mount.calls.read(file, target));
  await mount.run(mount.calls.close(file));
  return target.subarray(0, count);
}

beforeEach(() => {
  // Each change gets a time of its own, as on a host with fine timestamps.
  fs = new MemoryFileSystem({ now: () => ({ seconds: 1000, nanoseconds: ++ticks }) });
  device = new ScriptedFuseDevice(fs);
  fs.addFile("/a/b/c/file", bytes(1));
});

describe("names and attributes", () => {
  test("auto: believed for their validity of 1 s, no longer", async () => {
    const mount = await mounted("auto");
    await mount.run(mount.calls.stat("/a/b/c/file"));
    expect(asked()).toEqual([Opcode.Init, Opcode.Lookup, Opcode.Lookup, Opcode.Lookup, Opcode.Lookup]);
    expect(mount.calls.tryStat("/a/b/c/file")).toMatchObject({ size: 100 });
    mount.clock.advance(900);
    expect(mount.calls.tryStat("/a/b/c/file")).toMatchObject({ size: 100 });
    mount.clock.advance(101);
    expect(mount.calls.tryStat("/a/b/c/file")).toBe(-Errno.EAGAIN);
    expect(asked()).toEqual([]);
  });

  test("auto: a deep path that is out of date is asked for again in one round trip", async () => {
    const mount = await mounted("auto");
    await mount.run(mount.calls.stat("/a/b/c/file"));
    mount.clock.advance(1500);
    asked();
    mount.serving = false;
    const stat = mount.calls.stat("/a/b/c/file");
    await mount.idle();
    mount.serving = true;
    mount.host.poll();
    expect(asked()).toEqual([Opcode.Lookup, Opcode.Lookup, Opcode.Lookup, Opcode.Lookup]);
    await mount.run(stat);
    expect(asked()).toEqual([]);
  });

  test("auto: callers who ask for the same thing at the same time share the question", async () => {
    const mount = await mounted("auto");
    await mount.run(Promise.all(Array.from({ length: 32 }, () => mount.calls.stat("/a/b/c/file"))));
    expect(asked().length).toBe(1 + 4);
  });

  test("auto: a change on the host is seen within the validity", async () => {
    const mount = await mounted("auto");
    expect((await mount.run(mount.calls.stat("/a/b/c/file"))).size).toBe(100);
    fs.addFile("/a/b/c/file", bytes(2, 70));
    mount.clock.advance(1001);
    expect((await mount.run(mount.calls.stat("/a/b/c/file"))).size).toBe(70);
  });

  test("none: nothing is believed, every node is forgotten at once", async () => {
    const mount = await mounted("none");
    await mount.run(mount.calls.stat("/a/b/c/file"));
    await mount.run(mount.calls.stat("/a/b/c/file"));
    expect(asked().length).toBe(1 + 4 + 4);
    expect(mount.calls.tryStat("/a/b/c/file")).toBe(-Errno.EAGAIN);
    await mount.idle();
    expect(mount.driver.stats).toMatchObject({ nodes: 1, names: 0 });
  });

  test("always: believed for ever", async () => {
    const mount = await mounted("always");
    await mount.run(mount.calls.stat("/a/b/c/file"));
    mount.clock.advance(1e9);
    expect(mount.calls.tryStat("/a/b/c/file")).toMatchObject({ size: 100 });
  });

  test("tryStat of a path asked before is one look into a map: no request, the same object", async () => {
    const mount = await mounted("auto");
    const stat = await mount.run(mount.calls.stat("/a/b/c/file"));
    expect(mount.calls.tryStat("/a/b/c/file")).toBe(stat);
    const { pathHits } = mount.driver.stats;
    expect(mount.calls.tryStat("/a/b/c/file")).toBe(stat);
    expect(mount.driver.stats.pathHits).toBe(pathHits + 1);
  });

  test("ENOENT with a validity (an entry whose node is 0) is believed, too; until we make the name", async () => {
    device.script = (request) => {
      if (request.opcode !== Opcode.Lookup || request.bytes.at(-2) !== "x".charCodeAt(0)) return undefined;
      const reply = new Uint8Array(16 + 128);
      const view = new DataView(reply.buffer);
      view.setUint32(0, reply.length, true);
      view.setBigUint64(8, BigInt(request.unique), true);
      view.setUint32(16 + 16, 1, true); // entry_valid: 1 s
      return reply;
    };
    const mount = await mounted("auto");
    await expect(mount.run(mount.calls.stat("/x"))).rejects.toMatchObject({ code: "ENOENT" });
    expect(mount.calls.tryStat("/x")).toBe(-Errno.ENOENT);
    mount.clock.advance(1001);
    expect(mount.calls.tryStat("/x")).toBe(-Errno.EAGAIN);
    await expect(mount.run(mount.calls.stat("/x"))).rejects.toMatchObject({ code: "ENOENT" });
    await mount.run(mount.calls.mkdir("/x"));
    expect(mount.calls.tryStat("/x")).toMatchObject({ type: "directory" });
  });

  test("ESTALE of a believed name: asked anew from the root, once", async () => {
    const mount = await mounted("always");
    await mount.run(mount.calls.stat("/a/b/c/file"));
    let stale = 1;
    device.script = (request) => {
      if (request.opcode !== Opcode.Open || stale-- === 0) return undefined;
      const reply = new Uint8Array(16);
      const view = new DataView(reply.buffer);
      view.setUint32(0, 16, true);
      view.setInt32(4, -Errno.ESTALE, true);
      view.setBigUint64(8, BigInt(request.unique), true);
      return reply;
    };
    asked();
    await mount.run(mount.calls.open("/a/b/c/file"));
    const opcodes = asked();
    expect(opcodes.filter((opcode) => opcode === Opcode.Lookup).length).toBe(4);
    expect(opcodes.filter((opcode) => opcode === Opcode.Open).length).toBe(2);
  });
});

describe("file data", () => {
  test("auto: read from the cache while the attributes are believed; a change drops it", async () => {
    const mount = await mounted("auto");
    expect(await readAll(mount, "/a/b/c/file")).toEqual(bytes(1));
    asked();
    expect(await readAll(mount, "/a/b/c/file")).toEqual(bytes(1));
    expect(asked()).not.toContain(Opcode.Read);
    fs.addFile("/a/b/c/file", bytes(2));
    mount.clock.advance(1001);
    expect(await readAll(mount, "/a/b/c/file")).toEqual(bytes(2));
    expect(mount.driver.stats.blocksInvalidated).toBe(1);
  });

  test("auto: an unchanged file stays in the cache over its validity: one question, no READ", async () => {
    const mount = await mounted("auto");
    const file = await mount.run(mount.calls.open("/a/b/c/file"));
    await mount.run(mount.calls.pread(file, new Uint8Array(100), 0));
    mount.clock.advance(5000);
    asked();
    expect(mount.calls.tryPin(file, 0, 100)).toBe(-Errno.EAGAIN);
    await mount.run(mount.calls.pread(file, new Uint8Array(100), 0));
    expect(asked()).toEqual([Opcode.Getattr]);
    await mount.run(mount.calls.close(file));
  });

  test("a file that shrinks: what is there, never padding", async () => {
    const mount = await mounted("auto");
    fs.addFile("/big", bytes(1, 200_000));
    const file = await mount.run(mount.calls.open("/big"));
    fs.addFile("/big", bytes(3, 70_000)); // within the validity: its size is still believed to be 200,000
    const target = bytes(9, 200_000);
    expect(await mount.run(mount.calls.pread(file, target, 0))).toBe(70_000);
    expect(target.subarray(0, 70_000)).toEqual(bytes(3, 70_000));
    expect((await mount.run(mount.calls.stat(file))).size).toBe(70_000);
    expect(mount.calls.tryPin(file, 70_000, 1)).toBeUndefined();
    await mount.run(mount.calls.close(file));
  });

  test("a file that grows: the new end is read once the attributes are out of date", async () => {
    const mount = await mounted("auto");
    const file = await mount.run(mount.calls.open("/a/b/c/file"));
    expect(await mount.run(mount.calls.pread(file, new Uint8Array(9000), 0))).toBe(100);
    fs.addFile("/a/b/c/file", bytes(1, 8000));
    mount.clock.advance(1001);
    expect(await mount.run(mount.calls.pread(file, new Uint8Array(9000), 0))).toBe(8000);
    await mount.run(mount.calls.close(file));
  });

  test("readers of one block share one READ; a whole file is read in one", async () => {
    const mount = await mounted("auto");
    fs.addFile("/big", bytes(1, 133_000));
    const file = await mount.run(mount.calls.open("/big"));
    asked();
    await mount.run(Promise.all(Array.from({ length: 20 }, () => mount.calls.pread(file, new Uint8Array(133_000), 0))));
    expect(asked()).toEqual([Opcode.Read]);
    expect(mount.calls.tryPin(file, 65_536, 10)).toMatchObject({ length: 10 });
  });

  test("pinned pieces: the cache stays in its bound, and lets go of what is pinned when it is unpinned", async () => {
    const mount = await mounted("auto", { cache: { mode: "auto", bytes: 3 * 65_536 } });
    for (let i = 0; i < 6; i++) fs.addFile(`/f${i}`, bytes(i, 60_000));
    const pieces: FilePiece[] = [];
    for (let i = 0; i < 6; i++) {
      const file = await mount.run(mount.calls.open(`/f${i}`));
      const piece = await mount.run(mount.calls.pin(file, 0, 60_000));
      if (piece === undefined) throw new Error("empty");
      expect(piece.buffer.bytes[59_999]).toBe(i);
      pieces.push(piece);
      expect(mount.driver.stats.cachedBytes).toBeLessThanOrEqual(3 * 65_536);
      await mount.run(mount.calls.close(file));
    }
    // Half of them lie outside of the cache, because all of it was pinned. Their bytes are still theirs.
    pieces.forEach((piece, i) => {
      expect(piece.buffer.bytes[0]).toBe(i);
      mount.calls.unpin(piece);
    });
    expect(() => mount.calls.unpin(pieces[0] as FilePiece)).toThrow(/before/);
    await mount.run(mount.driver.close());
    expect(mount.heap.stats().bytesInUse).toBe(0);
  });

  test("a piece that is pinned while the file changes keeps its bytes", async () => {
    const mount = await mounted("auto");
    const file = await mount.run(mount.calls.open("/a/b/c/file", { mode: "r+" }));
    const piece = await mount.run(mount.calls.pin(file, 0, 100));
    await mount.run(mount.calls.pwrite(file, bytes(5), 0));
    expect(piece?.buffer.bytes[0]).toBe(1);
    if (piece !== undefined) mount.calls.unpin(piece);
    const target = new Uint8Array(100);
    await mount.run(mount.calls.pread(file, target, 0));
    expect(target).toEqual(bytes(5));
    await mount.run(mount.calls.close(file));
  });

  test("FOPEN_DIRECT_IO: nothing of the file is cached", async () => {
    device.script = () => undefined;
    const direct = new Proxy(fs, {
      get: (own, key) => {
        const value: unknown = Reflect.get(own, key, own);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          const result: unknown = value.apply(own, args);
          return key === "open" ? { ...(result as object), directIo: true } : result;
        };
      },
    });
    device = new ScriptedFuseDevice(direct);
    const mount = await mounted("always");
    expect(await readAll(mount, "/a/b/c/file")).toEqual(bytes(1));
    expect(mount.driver.stats.cachedBytes).toBe(0);
  });

  test("large reads and writes are split at what the device takes, and join to the same bytes", async () => {
    const mount = await mounted("auto");
    const content = new Uint8Array(1_500_000).map((_, i) => i ^ (i >> 8));
    const buffer = mount.buffer(content.length);
    buffer.writable.set(content);
    const file = await mount.run(mount.calls.open("/written", { mode: "w+" }));
    asked();
    expect(await mount.run(mount.calls.write(file, { buffer, offset: 0, length: content.length }))).toBe(
      content.length,
    );
    expect(asked().filter((opcode) => opcode === Opcode.Write).length).toBe(
      Math.ceil(content.length / mount.driver.session.maxWrite),
    );
    buffer.writable.fill(0);
    expect(await mount.run(mount.calls.pread(file, { buffer, offset: 0, length: content.length }, 0))).toBe(
      content.length,
    );
    expect(buffer.bytes.every((byte, i) => byte === content[i])).toBe(true);
    expect(mount.driver.stats.bytesCopied).toBe(0);
    expect(await mount.run(mount.calls.pread(file, { buffer, offset: 0, length: 100 }, content.length - 40))).toBe(40);
    buffer.free();
    await mount.run(mount.calls.close(file));
  });
});

describe("symbolic links", () => {
  test("absolute targets start at the mount's root, `..` stops there, a loop is ELOOP", async () => {
    fs.addSymlink("/abs", "/a/b/c/file");
    fs.addSymlink("/up", "../../../../a/b");
    fs.addSymlink("/loop", "loop");
    fs.addSymlink("/dangling", "/made/by/open");
    fs.addFile("/made/by/other", "");
    let to = "/a/b/c/file";
    for (let i = 0; i < 41; i++) {
      fs.addSymlink(`/chain${i}`, to);
      to = `/chain${i}`;
    }
    for (const mode of ["none", "auto"] as const) {
      const mount = await mounted(mode);
      const { calls } = mount;
      expect(await mount.run(calls.stat("/abs"))).toMatchObject({ size: 100 });
      expect(await mount.run(calls.stat("/../../up/../b/c/file"))).toMatchObject({ size: 100 });
      await expect(mount.run(calls.stat("/loop"))).rejects.toMatchObject({ code: "ELOOP" });
      expect(await mount.run(calls.stat("/chain39"))).toMatchObject({ size: 100 });
      await expect(mount.run(calls.stat("/chain40"))).rejects.toMatchObject({ code: "ELOOP" });
      await expect(mount.run(calls.open("/abs", { noFollow: true }))).rejects.toMatchObject({ code: "ELOOP" });
      const file = await mount.run(calls.open("/dangling", { mode: "w" }));
      await mount.run(calls.close(file));
      expect(await mount.run(calls.stat("/made/by/open"))).toMatchObject({ type: "file" });
      await mount.run(calls.unlink("/made/by/open"));
      await mount.run(mount.driver.close());
      mount.transport.close();
      device = new ScriptedFuseDevice(fs);
    }
  });

  test("a warm path through links is resolved without waiting", async () => {
    fs.addSymlink("/l", "a/b");
    const mount = await mounted("auto");
    await mount.run(mount.calls.stat("/l/c/file"));
    expect(mount.calls.tryStat("/l/c/file")).toMatchObject({ size: 100 });
    expect(mount.calls.tryStat("/l/../b/c/file")).toMatchObject({ size: 100 });
  });
});
