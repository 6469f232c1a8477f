/** Directories mounted over each kind of server: our own device in this thread, and daemons over vhost-user. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostDirectory } from "@toril/host";
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceHost, DeviceType, InProcessTransport, type Transport } from "@toril/virtio";
import { createFileDriver, type FileDriver } from "@toril/virtio-fs";
import { VirtioFsDevice } from "@toril/virtio-fs/device";
import { BackEndSession } from "../back-end/session.ts";
import type { Daemon } from "../daemons/daemon.ts";
import { startVirtiofsd } from "../daemons/virtiofsd.ts";
import { virtioFsConfig } from "../front-end/options.ts";
import { connectFrontEnd, type VhostUserTransport } from "../front-end/transport.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import type { Mounted } from "./file-suite.ts";
import { listenForTest } from "./listener.ts";
import { SleepingLoop, testClock } from "./sleeping-loop.ts";

export type CacheMode = "none" | "auto" | "always";

export interface TestMounted extends Mounted {
  readonly loop: SleepingLoop;
  readonly heap: Heap;
  close(): Promise<void>;
}

const MEMORY = 32 * 2 ** 20;
const CACHE = 4 * 2 ** 20;

export function temporaryRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "toril-shared-"));
  mkdirSync(join(root, "shared"));
  return join(root, "shared");
}

/** A driver on a transport, in a loop that sleeps. */
export async function mountOn(
  transport: Transport,
  root: string,
  mode: CacheMode,
  loop: SleepingLoop,
  heap: Heap = new Heap({ memory: transport.memory, base: guestAddress(0), size: transport.memory.size }),
): Promise<{ driver: FileDriver; heap: Heap } & Mounted> {
  const cache = { mode, bytes: CACHE };
  const driver = await createFileDriver({ transport, allocator: heap, clock: testClock, cache, doorbell: loop });
  loop.add(driver);
  return { driver, calls: driver.callsFor(), root, heap };
}

/** Our own device, in this thread, without vhost-user. */
export async function mountInProcess(mode: CacheMode, root: string = temporaryRoot()): Promise<TestMounted> {
  const directory = new HostDirectory({ path: root, access: "writable" });
  const memory = GuestMemory.allocate({ size: MEMORY });
  const loop = new SleepingLoop();
  const device = new VirtioFsDevice({ fileSystem: directory, tag: "host" });
  const host = new DeviceHost({ device, memory, doorbell: loop });
  loop.add(host);
  const mounted = await mountOn(new InProcessTransport(host), root, mode, loop);
  const close = async (): Promise<void> => {
    await mounted.driver.close();
    loop.stop();
    directory.close();
    rmSync(join(root, ".."), { recursive: true });
  };
  return { ...mounted, loop, close };
}

/** Our own device behind our own back-end. */
export async function mountBackEnd(mode: CacheMode, root: string = temporaryRoot()): Promise<TestMounted> {
  const directory = new HostDirectory({ path: root, access: "writable" });
  const device = new VirtioFsDevice({ fileSystem: directory, tag: "host" });
  const listener = listenForTest((fd) => new BackEndSession({ fd, device }));
  const memory = new MemfdMemory(MEMORY);
  const transport = await connectFrontEnd({ socketPath: listener.path, memory, deviceType: DeviceType.FileSystem });
  const loop = new SleepingLoop();
  const mounted = await mountOn(transport, root, mode, loop);
  const close = async (): Promise<void> => {
    await mounted.driver.close();
    loop.stop();
    await transport.close();
    memory.close();
    listener.close();
    directory.close();
    rmSync(join(root, ".."), { recursive: true });
  };
  return { ...mounted, loop, close };
}

export interface DaemonMounted extends TestMounted {
  readonly daemon: Daemon;
  readonly memory: MemfdMemory;
  readonly transport: VhostUserTransport;
}

/** A real daemon. */
export async function mountVirtiofsd(
  command: string,
  mode: CacheMode,
  root: string = temporaryRoot(),
): Promise<DaemonMounted> {
  const daemon = await startVirtiofsd({ directory: root, command, cache: mode });
  const memory = new MemfdMemory(MEMORY);
  const transport = await connectFrontEnd({
    ...{ socketPath: daemon.socketPath, memory, deviceType: DeviceType.FileSystem },
    config: virtioFsConfig("host"),
  });
  const loop = new SleepingLoop();
  const mounted = await mountOn(transport, root, mode, loop);
  const close = async (): Promise<void> => {
    await mounted.driver.close();
    loop.stop();
    await transport.close();
    await daemon.stop();
    memory.close();
    rmSync(join(root, ".."), { recursive: true, force: true });
  };
  return { ...mounted, loop, daemon, memory, transport, close };
}
