import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { createBumpAllocator, createQueuePair } from "./index.ts";

describe("createQueuePair", () => {
  it("joins a driver and a device over fresh memory", () => {
    const { driver, device, chain, buffers, memory } = createQueuePair<string>();
    memory.write(buffers, Uint8Array.of(1, 2, 3));
    driver.beginChain(2);
    driver.addReadable(buffers, 3);
    driver.addWritable(buffers + 1024, 8);
    driver.endChain("token");
    expect(driver.publish()).toBe(true);
    expect(device.next(chain)).toBe(true);
    const request = new Uint8Array(3);
    expect([chain.read(0, request), ...request]).toEqual([3, 1, 2, 3]);
    device.complete(chain.head, chain.write(0, Uint8Array.of(9)));
    expect(device.publish()).toBe(true);
    expect([driver.poll(), driver.usedLength, memory.bytes(buffers, 1025)[1024]]).toEqual(["token", 1, 9]);
  });

  it("leaves a MiB for buffers, and says so when a given memory is too small", () => {
    const { memory, buffers } = createQueuePair({ size: 1024, indirectSegments: 8 });
    expect(memory.contains(buffers, 1 << 20)).toBe(true);
    const small = GuestMemory.map([{ base: guestAddress(0), buffer: new ArrayBuffer(1024) }]);
    expect(() => createQueuePair({ size: 256, memory: small })).toThrow("no room for");
  });
});

describe("createBumpAllocator", () => {
  it("aligns, and answers undefined when the region is used up", () => {
    const memory = GuestMemory.map([{ base: guestAddress(4096), buffer: new ArrayBuffer(4096) }]);
    const allocator = createBumpAllocator(memory, guestAddress(4096));
    expect(allocator.allocateDma(5)?.address).toBe(4096);
    expect(allocator.allocateDma(100, 256)?.address).toBe(4096 + 256);
    expect(allocator.allocateDma(4000)).toBeUndefined();
    expect(allocator.allocateDma(16)?.address).toBe(4096 + 368);
  });
});
