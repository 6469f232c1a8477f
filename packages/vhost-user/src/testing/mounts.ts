/** Directories mounted over daemons; own-mounts.ts has those over our own device. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceType, type Transport } from "@toril/virtio";
import { createFileDriver, type FileDriver } from "@toril/virtio-fs";
import type { Daemon } from "../daemons/daemon.ts";
import { startVirtiofsd } from "../daemons/virtiofsd.ts";
import { virtioFsConfig } from "../front-end/options.ts";
import { connectFrontEnd, type VhostUserTransport } from "../front-end/transport.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import type { Mounted } from "./file-suite.ts";
import { SleepingLoop, testClock } from "./sleeping-loop.ts";

export type CacheMode = "none" | "auto" | "always";

export interface TestMounted extends Mounted {
  readonly loop: SleepingLoop;
  readonly heap: Heap;
  close(): Promise<void>;
}

export const MEMORY: number = 32 * 2 ** 20;
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
  flags: readonly string[] = [],
): Promise<DaemonMounted> {
  const daemon = await startVirtiofsd({ directory: root, command, cache: mode, flags });
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
