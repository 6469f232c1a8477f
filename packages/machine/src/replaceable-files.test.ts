import { LocalBell, runHosted } from "@toril/kernel";
import { GuestMemory, guestAddress } from "@toril/memory";
import { DeviceHost, InProcessTransport } from "@toril/virtio";
import { Errno, silentLog } from "@toril/virtio/platform";
import type { FileCalls } from "@toril/virtio-fs";
import { MemoryFileSystem, VirtioFsDevice } from "@toril/virtio-fs/device";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Guest } from "./guest.ts";
import { nodeLoop } from "./node-loop.ts";
import type { Access } from "./replaceable-files.ts";
import type { Sys } from "./sys.ts";

const SIZE = 32 * 2 ** 20;

let files: MemoryFileSystem;
let memory: GuestMemory;
let guest: Guest;
let stopLoop: () => Promise<void>;

beforeEach(() => {
  files = new MemoryFileSystem();
  files.addFile("/file", Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  files.addFile("/other", Uint8Array.of(9));
  memory = GuestMemory.allocate({ size: SIZE });
  guest = new Guest({
    ...{ core: 0, memory, heap: { base: guestAddress(0), size: SIZE }, bell: new LocalBell(), log: silentLog },
    ...{ now: () => performance.now(), wallClock: Date.now },
  });
  const loop = runHosted(guest.core, { host: nodeLoop });
  stopLoop = async () => {
    loop.stop();
    await loop.ended;
  };
});
afterEach(async () => {
  await guest.shutDown();
  expect(guest.booted.heap.stats().bytesInUse).toBe(0);
  await stopLoop();
});

/** Another device on the same files: what a daemon is that was started again. */
function device(): InProcessTransport {
  const fileSystem = new VirtioFsDevice({ fileSystem: files, tag: "test" });
  const host = new DeviceHost({ device: fileSystem, memory, doorbell: guest.core.bell });
  guest.core.dedicate(host, "file device");
  return new InProcessTransport(host);
}

async function bringUp(access: Access, cache: "none" | "auto" = "auto"): Promise<void> {
  const transport = device();
  await guest.bringUp({ files: { transport, cache, cacheBytes: 2 ** 20, replaceable: { access } } });
}

/** Runs as a thread of the guest. */
async function run<T>(main: (fs: FileCalls, sys: Sys) => Promise<T>): Promise<T> {
  const exit = await guest.core.spawn((sys) => main(sys.fs, sys)).ended;
  if (exit.kind === "returned") return exit.value;
  throw exit.kind === "failed" ? exit.error : new Error(exit.kind);
}

const replace = (): Promise<void> => guest.fileSeat.replace(async () => device());
const read = async (fs: FileCalls, file: Parameters<FileCalls["read"]>[0], length: number): Promise<number[]> => {
  const bytes = new Uint8Array(length);
  return [...bytes.subarray(0, await fs.read(file, bytes))];
};

describe("a file that was open for reading when its device was replaced", () => {
  test("is opened again, where it stood, also by many at once", async () => {
    await bringUp("read-only");
    await run(async (fs) => {
      const file = await fs.open("/file");
      expect(await read(fs, file, 3)).toEqual([1, 2, 3]);
      await replace();
      expect(fs.tryPin(file, 0, 4)).toBe(-Errno.EAGAIN);
      expect(fs.tryStat(file)).toBe(-Errno.EAGAIN);
      const [one, two] = await Promise.all([read(fs, file, 2), fs.stat(file)]);
      expect([one, two.size]).toEqual([[4, 5], 8]);
      const piece = await fs.pin(file, 0, 8);
      if (piece !== undefined) fs.unpin(piece);
      expect(piece?.length).toBe(8);
      await fs.close(file);
      await expect(read(fs, file, 1)).rejects.toMatchObject({ code: "EBADF" });
    });
  });

  test("a piece that was pinned before stays, and can be given back after", async () => {
    await bringUp("read-only");
    await run(async (fs) => {
      const file = await fs.open("/file");
      const piece = await fs.pin(file, 0, 8);
      await replace();
      if (piece === undefined) throw new Error("nothing was pinned");
      expect([...piece.buffer.bytes.subarray(piece.offset, piece.offset + 3)]).toEqual([1, 2, 3]);
      fs.unpin(piece);
      await fs.close(file);
    });
  });

  test("is stale when the path leads to another file, when it was changed, and when it is gone", async () => {
    await bringUp("writable");
    await run(async (fs) => {
      const [moved, changed, gone] = [await fs.open("/file"), await fs.open("/other"), await fs.open("/other")];
      await fs.stat(changed);
      await replace();
      await fs.rename("/file", "/elsewhere");
      const writer = await fs.open("/file", { mode: "w" });
      await fs.write(writer, new Uint8Array(8));
      await fs.close(writer);
      await fs.truncate("/other", 5);
      await expect(read(fs, moved, 1)).rejects.toMatchObject({ code: "ESTALE", errno: Errno.ESTALE });
      await expect(read(fs, changed, 1)).rejects.toMatchObject({ code: "ESTALE" });
      await fs.unlink("/other");
      await expect(read(fs, gone, 1)).rejects.toMatchObject({ code: "ESTALE" });
      // It stays so, and can be closed, once.
      await expect(fs.stat(gone)).rejects.toMatchObject({ code: "ESTALE" });
      await fs.close(gone);
      await expect(fs.close(gone)).rejects.toMatchObject({ code: "EBADF" });
      expect(fs.tryPin(gone, 0, 1)).toBe(-Errno.EBADF);
    });
  });
});

test("a file that was open for writing is stale: what was under way may have been written, or not", async () => {
  await bringUp("writable");
  await run(async (fs) => {
    const file = await fs.open("/file", { mode: "r+" });
    await fs.stat(file);
    await replace();
    await expect(fs.write(file, Uint8Array.of(1))).rejects.toMatchObject({ code: "ESTALE" });
    await fs.close(file);
  });
});

test("while there is no device calls end with EIO; with the next one they go on, in threads that were there before", async () => {
  await bringUp("read-only", "none");
  await run(async (fs) => {
    await expect(guest.fileSeat.replace(() => Promise.reject(new Error("not yet")))).rejects.toThrow("not yet");
    await expect(fs.stat("/file")).rejects.toMatchObject({ code: "EIO" });
    await expect(fs.open("/file")).rejects.toMatchObject({ code: "EIO" });
    await replace();
    expect((await fs.stat("/file")).size).toBe(8);
  });
});

test("read-only is EROFS, whatever the device would allow", async () => {
  await bringUp("read-only");
  await run(async (fs) => {
    const file = await fs.open("/file");
    const attempts: (() => Promise<unknown>)[] = [
      () => fs.open("/new", { mode: "w" }),
      () => fs.open("/file", { mode: "r+" }),
      () => fs.mkdir("/d"),
      () => fs.unlink("/file"),
      () => fs.rmdir("/d"),
      () => fs.rename("/file", "/x"),
      () => fs.link("/file", "/x"),
      () => fs.symlink("file", "/x"),
      () => fs.truncate("/file", 0),
      () => fs.truncate(file, 0),
      () => fs.chmod("/file", 0o600),
      () => fs.utimes("/file", "now", "now"),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toMatchObject({ code: "EROFS" });
    expect((await fs.readdir("/")).map(({ name }) => name).sort()).toEqual(["file", "other"]);
    await fs.close(file);
  });
});

test("somebody else's file is the caller's mistake; a guest that shuts down takes no device", async () => {
  await bringUp("read-only");
  await run(async (fs) => {
    await expect(fs.close({ kind: "file" })).rejects.toThrow(TypeError);
    expect(() => fs.tryPin({ kind: "file" }, 0, 1)).toThrow(TypeError);
  });
  await guest.shutDown();
  await expect(replace()).rejects.toThrow(/shuts down/);
});
