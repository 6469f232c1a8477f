import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, InProcessTransport } from "@toril/virtio";
import { createFileDriver, type FileCalls, type FileDriver } from "@toril/virtio-fs";
import { VirtioFsDevice } from "@toril/virtio-fs/device";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { nodeClock } from "../platform/node-clock.ts";
import { pattern } from "../testing/guest.ts";
import { CONFINEMENTS } from "../testing/served-directory.ts";
import { HostDirectory } from "./host-directory.ts";
import type { HostDirectoryOptions } from "./options.ts";

// A machine that is busy takes its time; nothing here depends on how much.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let root: string;
let directory: HostDirectory;
let driver: FileDriver;
let calls: FileCalls;
let stop: () => void;

/** The whole way: file calls, driver, rings, device, HostDirectory. */
async function mount(options: Omit<HostDirectoryOptions, "path">): Promise<void> {
  directory = new HostDirectory({ path: root, ...options });
  const memory = GuestMemory.allocate({ size: 16 * 1024 * 1024, sharing: "shared" });
  const device = new VirtioFsDevice({ fileSystem: directory, tag: "host", requestQueues: 2 });
  const host = new DeviceHost({ device, memory });
  let running = true;
  const polled: { poll(): boolean }[] = [host];
  const turn = (): void => {
    if (!running) return;
    for (const one of polled) one.poll();
    setImmediate(turn);
  };
  turn();
  stop = () => {
    running = false;
  };
  const allocator = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
  driver = await createFileDriver({ transport: new InProcessTransport(host), allocator, clock: nodeClock() });
  polled.push(driver);
  calls = driver.callsFor();
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "toril-e2e-"));
});
afterEach(async () => {
  await driver.close();
  stop();
  directory.close();
  rmSync(root, { recursive: true });
});

async function contentOf(path: string): Promise<Buffer> {
  const file = await calls.open(path);
  const parts: Buffer[] = [];
  for (;;) {
    const part = Buffer.alloc(300_000);
    const count = await calls.read(file, part);
    if (count === 0) break;
    parts.push(part.subarray(0, count));
  }
  await calls.close(file);
  return Buffer.concat(parts);
}

describe.each(CONFINEMENTS)("a guest's file calls on a real directory, %s", (confinement) => {
  test.each([Number.POSITIVE_INFINITY, 4096])(
    "files of all sizes come back byte-identical (thread pool from %d)",
    async (pool) => {
      const sizes = [0, 1, 4095, 4096, 4097, 131_072, 1_048_577, 3_000_000];
      for (const size of sizes) writeFileSync(join(root, `f${size}`), pattern(size, size + 1));
      await mount({ confinement, poolReadBytes: pool });
      for (const size of sizes) expect((await contentOf(`/f${size}`)).equals(pattern(size, size + 1))).toBe(true);
      expect(driver.failure).toBeUndefined();
    },
  );

  test("what is written, made, moved and removed is so on the host", async () => {
    await mount({ confinement, access: "writable" });
    await calls.mkdir("/d");
    const file = await calls.open("/d/new", { mode: "w" });
    const bytes = pattern(2_000_000);
    await calls.write(file, bytes);
    await calls.fsync(file);
    await calls.close(file);
    await calls.rename("/d/new", "/moved");
    await calls.symlink("moved", "/link");
    await calls.chmod("/moved", 0o600);
    await calls.truncate("/moved", 1_000_000);
    expect(readdirSync(root).sort()).toEqual(["d", "link", "moved"]);
    expect(readFileSync(join(root, "moved")).equals(bytes.subarray(0, 1_000_000))).toBe(true);
    expect((await calls.stat("/link")).mode & 0o777).toBe(0o600);
    await calls.rmdir("/d");
    await calls.unlink("/link");
    expect(readdirSync(root)).toEqual(["moved"]);
  });

  test("odd names, ten thousand of them in one directory, and links that stay inside", async () => {
    mkdirSync(join(root, "many"));
    for (let i = 0; i < 10_000; i++) writeFileSync(join(root, "many", `n ${i} ü`), "");
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.of(0xff, 0x0a, 0x80)]), "odd");
    symlinkSync("/etc/passwd", join(root, "absolute"));
    symlinkSync("../../../../etc/passwd", join(root, "climbing"));
    await mount({ confinement });
    for (const plus of [false, true]) {
      const names = (await calls.readdir("/many", { plus })).map((entry) => entry.name);
      expect(new Set(names).size).toBe(10_000);
    }
    const odd = Uint8Array.of(0x2f, 0xff, 0x0a, 0x80);
    expect((await calls.stat(odd)).size).toBe(3);
    // In the guest's own tree there is no /etc.
    for (const link of ["/absolute", "/climbing"]) {
      await expect(calls.open(link)).rejects.toMatchObject({ code: "ENOENT" });
    }
    await expect(calls.open("/x", { mode: "w" })).rejects.toMatchObject({ code: "EROFS" });
  });
});
