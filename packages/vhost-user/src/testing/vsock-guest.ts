/** A guest with a vsock driver over a real daemon, in a loop that sleeps; and programs for it. */
import { createHash } from "node:crypto";
import { guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { DeviceType } from "@toril/virtio";
import { Errno } from "@toril/virtio/platform";
import { createVsockDriver, type VsockConnection, type VsockDriver, type VsockDriverOptions } from "@toril/vsock";
import { startVhostDeviceVsock, type VsockDaemon } from "../daemons/vhost-device-vsock.ts";
import { connectFrontEnd, type VhostUserTransport } from "../front-end/transport.ts";
import { MemfdMemory } from "../memory/memfd-memory.ts";
import { SleepingLoop, testClock } from "./sleeping-loop.ts";

export interface VsockGuest {
  readonly driver: VsockDriver;
  readonly daemon: VsockDaemon;
  readonly transport: VhostUserTransport;
  readonly loop: SleepingLoop;
  readonly heap: Heap;
  close(): Promise<void>;
}

const MEMORY = 32 * 2 ** 20;
export const GUEST_CID = 42;

/** @param running a daemon that runs already */
export async function startVsockGuest(
  command: string,
  options: Partial<VsockDriverOptions> = {},
  running?: VsockDaemon,
): Promise<VsockGuest> {
  const daemon = running ?? (await startVhostDeviceVsock({ guestCid: GUEST_CID, command }));
  const memory = new MemfdMemory(MEMORY);
  const transport = await connectFrontEnd({ socketPath: daemon.socketPath, memory, deviceType: DeviceType.Vsock });
  const heap = new Heap({ memory: memory.guest, base: guestAddress(0), size: MEMORY });
  const loop = new SleepingLoop();
  const made = { transport, allocator: heap, clock: testClock, doorbell: loop };
  const driver = await createVsockDriver({ ...options, ...made });
  loop.add(driver);
  const close = async (): Promise<void> => {
    await driver.close();
    loop.stop();
    await transport.close();
    await daemon.stop();
    memory.close();
  };
  return { driver, daemon, transport, loop, heap, close };
}

/** What a program got: how much, its hash, and how the connection ended. */
export interface Outcome {
  readonly bytes: number;
  readonly sha256: string;
  readonly closed: number | "end of stream";
}

/** Reads everything that comes. */
export function receiveAll(connection: VsockConnection): Promise<Outcome> {
  const hash = createHash("sha256");
  const target = new Uint8Array(65_536);
  let bytes = 0;
  return new Promise((resolve) => {
    const read = (): void => {
      for (;;) {
        const count = connection.tryRecv(target);
        if (count === -Errno.EAGAIN) return;
        if (count <= 0) {
          resolve({ bytes, sha256: hash.digest("hex"), closed: count === 0 ? "end of stream" : -count });
          return;
        }
        bytes += count;
        hash.update(target.subarray(0, count));
      }
    };
    connection.listener = { ...connection.listener, onReadable: read, onClosed: read };
    read();
  });
}

/** Sends everything, then says that it was all. */
export function sendAll(connection: VsockConnection, bytes: Uint8Array): Promise<"sent" | number> {
  let sent = 0;
  return new Promise((resolve) => {
    const write = (): void => {
      while (sent < bytes.length) {
        const count = connection.trySend(bytes.subarray(sent));
        if (count === -Errno.EAGAIN || count === 0) return;
        if (count < 0) {
          resolve(-count);
          return;
        }
        sent += count;
      }
      resolve("sent");
    };
    connection.listener = { ...connection.listener, onWritable: write, onConnected: write, onClosed: write };
    write();
  });
}
