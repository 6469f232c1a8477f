/** The same directories over our own device: in this thread, and behind our back-end. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { HostDirectory } from "@toril/host";
import { GuestMemory } from "@toril/memory";
import { DeviceHost, DeviceType, InProcessTransport } from "@toril/virtio";
import { VirtioFsDevice } from "@toril/virtio-fs/device";
import { BackEndSession } from "../back-end/session.ts";
import { connectFrontEnd } from "../front-end/transport.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import { listenForTest } from "./listener.ts";
import { type CacheMode, MEMORY, mountOn, type TestMounted, temporaryRoot } from "./mounts.ts";
import { SleepingLoop } from "./sleeping-loop.ts";

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
