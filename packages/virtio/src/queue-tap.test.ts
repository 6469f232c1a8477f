import { GuestMemory, guestAddress } from "@toril/memory";
import { expect, it } from "vitest";
import { DeviceHost } from "./device-host.ts";
import { InProcessTransport } from "./in-process-transport.ts";
import { initializeDevice } from "./initialize-device.ts";
import type { QueueTap } from "./queue-tap.ts";
import { BumpAllocator, ECHO_DEVICE_TYPE, EchoDevice } from "./testing/index.ts";

const textOf = (views: readonly Uint8Array[]): string => views.map((view) => new TextDecoder().decode(view)).join("|");

it("sees each chain when it is made available, and again when it is used; the driver notices nothing", async () => {
  const memory = GuestMemory.allocate({ size: 1 << 20 });
  const host = new DeviceHost({ device: new EchoDevice(), memory });
  const allocator = new BumpAllocator(memory, guestAddress(0), 1 << 20);
  const seen: string[] = [];
  const tap: QueueTap = {
    available: (index, { readable, writable }) => {
      seen.push(`available ${index}: ${textOf(readable)} + ${writable.map(({ length }) => length)}`);
    },
    used: (index, { writable }, written) => {
      seen.push(`used ${index}: ${textOf(writable).slice(0, written)}`);
    },
  };
  const transport = new InProcessTransport(host);
  const options = { type: ECHO_DEVICE_TYPE, queues: [{ index: 0, size: 8, indirectSegments: 3 }], allocator, tap };
  const device = await initializeDevice<string>(transport, options);
  const queue = device.queue(0);
  const at = (offset: number) => guestAddress(0x8_0000 + offset);
  memory.write(at(0), new TextEncoder().encode("onetwo"));
  for (const token of ["a", "b"]) {
    expect(queue.beginChain(3)).toBe(true);
    queue.addReadable(at(0), 3);
    queue.addReadable(at(3), 3);
    queue.addWritable(at(token === "a" ? 64 : 128), 16);
    queue.endChain(token);
  }
  expect(queue.inFlight).toBe(2);
  device.publish(0);
  expect(seen).toEqual(["available 0: one|two + 16", "available 0: one|two + 16"]);
  host.poll();
  expect([queue.poll(), queue.usedLength]).toEqual(["a", 6]);
  expect(seen.slice(2)).toEqual(["used 0: onetwo"]);
  expect(queue.poll()).toBe("b");
  expect(queue.poll()).toBeUndefined();
  expect(queue.beginChain(1)).toBe(true);
  queue.addWritable(at(64), 16);
  queue.endChain("c");
  host.reset();
  expect(queue.reset()).toEqual(["c"]);
});
