/** The virtio-fs driver against the real virtiofsd (QEMU's), over a memfd and eventfds: reality has the last word. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceType } from "@toril/virtio";
import type { Clock } from "@toril/virtio/platform";
import { createFileDriver, type FileDriver } from "@toril/virtio-fs";
import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import { FfiUnavailable, Libc } from "./ffi.ts";
import { VhostUserTransport } from "./front-end.ts";

const given = process.env["TORIL_VIRTIOFSD"];
const DAEMONS = given === undefined ? ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"] : [given];
const daemon = DAEMONS.find((path) => existsSync(path));
const reason = whyNot();

/** Why the daemon cannot be used here; `undefined`: it can. */
function whyNot(): string | undefined {
  if (daemon === undefined) return `no virtiofsd at ${DAEMONS.join(" or ")}: install qemu-system-common`;
  if (process.getuid?.() !== 0) return "QEMU's virtiofsd sandboxes itself, which takes root";
  try {
    new Libc();
    return undefined;
  } catch (error) {
    if (error instanceof FfiUnavailable) return error.message;
    throw error;
  }
}

/** Says why and skips; fails instead where peers are required. */
function needDaemon(context: TestContext): void {
  if (reason === undefined) return;
  if (process.env["TORIL_REQUIRE_PEERS"] === "1") throw new Error(`TORIL_REQUIRE_PEERS=1, but ${reason}`);
  context.skip(reason);
}

const clock: Clock = {
  now: () => performance.now(),
  after: (delay, callback) => {
    const timer = setTimeout(callback, delay);
    return { cancel: () => clearTimeout(timer) };
  },
};

/** §5.11.4: the tag, then num_request_queues; QEMU gives these to its guest, the daemon does not know them. */
function configSpace(tag: string): Uint8Array {
  const config = new Uint8Array(40);
  config.set(new TextEncoder().encode(tag));
  config[36] = 1;
  return config;
}

describe.each(["none", "auto", "always"] as const)("virtiofsd with cache=%s", (mode) => {
  let folder = "";
  let process_: ChildProcess | undefined;
  let transport: VhostUserTransport | undefined;
  let driver: FileDriver | undefined;
  let errors = "";
  let polling = true;
  const big = new Uint8Array(3_000_001).map((_, i) => (i * 7) ^ (i >> 9));

  beforeAll(async () => {
    if (reason !== undefined || daemon === undefined) return;
    folder = await mkdtemp(join(tmpdir(), "toril-virtiofsd-"));
    const shared = join(folder, "shared");
    await mkdir(join(shared, "deep/er"), { recursive: true });
    await writeFile(join(shared, "hello.txt"), "hello from the host\n");
    await writeFile(join(shared, "deep/er/big.bin"), big);
    await symlink("deep/er/big.bin", join(shared, "link"));
    const path = join(folder, "socket");
    const flags = [`--socket-path=${path}`, "-o", `source=${shared}`, "-o", `cache=${mode}`, "--thread-pool-size=0"];
    const child = spawn(daemon, flags, { stdio: ["ignore", "ignore", "pipe"] });
    process_ = child;
    child.stderr?.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    for (let i = 0; i < 500 && !existsSync(path); i++) await sleep(10);
    transport = new VhostUserTransport({
      path,
      deviceType: DeviceType.FileSystem,
      memorySize: 32 * 2 ** 20,
      queueCount: 2,
      config: configSpace("host"),
    });
    const { memory } = transport;
    const allocator = new Heap({ memory, base: guestAddress(0), size: memory.size });
    driver = await createFileDriver({ transport, allocator, clock, cache: { mode, bytes: 4 * 2 ** 20 } });
    const { driver: polled, transport: interrupting } = { driver, transport };
    const turn = (): void => {
      if (!polling) return;
      interrupting.pollInterrupts();
      polled.poll();
      setImmediate(turn);
    };
    turn();
  });

  afterAll(async () => {
    await driver?.close();
    polling = false;
    transport?.close();
    const child = process_;
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      if (!(await Promise.race([gone.then(() => true), sleep(2000, false)]))) child.kill("SIGKILL");
      await gone;
    }
    if (folder !== "") await rm(folder, { recursive: true, force: true });
  });

  /** The driver; skips the test where there can be none. */
  function started(context: TestContext): FileDriver {
    needDaemon(context);
    if (driver === undefined) throw new Error(`the driver did not come up; virtiofsd says: ${errors}`);
    return driver;
  }

  test("INIT: agrees on 7.31 or newer, and on requests of 1 MiB", (context) => {
    const { session } = started(context);
    expect(session.minor).toBeGreaterThanOrEqual(31);
    expect(session.maxRead).toBe(2 ** 20);
    expect(session.maxWrite).toBe(2 ** 20);
  });

  test("LOOKUP and GETATTR: a file has the size that the host says", async (context) => {
    const calls = started(context).callsFor();
    const stat = await calls.stat("/hello.txt");
    expect(stat).toMatchObject({ type: "file", size: 20, links: 1 });
    expect(await calls.stat("/link")).toMatchObject({ type: "file", size: big.length });
    expect(await calls.lstat("/link")).toMatchObject({ type: "symlink" });
    await expect(calls.stat("/missing")).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("READ: every byte of a file of 3 MB, through the cache and straight into a guest buffer", async (context) => {
    const calls = started(context).callsFor();
    const file = await calls.open("/link");
    const bytes = new Uint8Array(big.length + 10);
    expect(await calls.read(file, bytes)).toBe(big.length);
    expect(Buffer.compare(bytes.subarray(0, big.length), big)).toBe(0);
    const piece = await calls.pin(file, 65_536, 1000);
    expect(piece?.buffer.bytes.slice(piece.offset, piece.offset + piece.length)).toEqual(big.slice(65_536, 66_536));
    if (piece !== undefined) calls.unpin(piece);
    await calls.close(file);
  });

  test("WRITE, CREATE, READDIRPLUS, RENAME, UNLINK: the host sees it", async (context) => {
    const calls = started(context).callsFor();
    await calls.mkdir("/made");
    const file = await calls.open("/made/by-guest", { mode: "w" });
    expect(await calls.write(file, big)).toBe(big.length);
    await calls.close(file);
    expect(Buffer.compare(await readFile(join(folder, "shared/made/by-guest")), big)).toBe(0);
    await calls.rename("/made/by-guest", "/made/renamed");
    const entries = await calls.readdir("/made", { plus: true });
    expect(entries).toMatchObject([{ name: "renamed", type: "file", stat: { size: big.length } }]);
    await calls.unlink("/made/renamed");
    await calls.rmdir("/made");
    expect(existsSync(join(folder, "shared/made"))).toBe(false);
  });

  test("FORGET on the hiprio queue: taken, and nothing broke", async (context) => {
    const { stats, failure } = started(context);
    expect(failure).toBeUndefined();
    if (mode === "none") expect(stats.nodesForgotten).toBeGreaterThan(0);
    expect(errors).not.toMatch(/error|assert/i);
  });
});
