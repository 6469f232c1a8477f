import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { DESCRIPTOR_WRITE } from "./numbers.ts";
import { createQueuePair, readRawDescriptor } from "./testing/index.ts";

describe("§2.7.5, a chain of one buffer in one call", () => {
  it("is what beginChain, add and endChain make", () => {
    const inOne = createQueuePair<string>({ size: 4 });
    const inSteps = createQueuePair<string>({ size: 4 });
    expect(inOne.driver.lendReadable(0x1_0000, 100, "read")).toBe(true);
    expect(inOne.driver.lendWritable(0x2_0000, 200, "write")).toBe(true);
    for (const [token, address, length] of [
      ["read", 0x1_0000, 100],
      ["write", 0x2_0000, 200],
    ] as const) {
      inSteps.driver.beginChain(1);
      if (token === "read") inSteps.driver.addReadable(address, length);
      else inSteps.driver.addWritable(address, length);
      inSteps.driver.endChain(token);
    }
    expect([inOne.driver.publish(), inSteps.driver.publish()]).toEqual([true, true]);
    const rings = ({ memory, layout }: typeof inOne): number[] => [
      ...memory.bytes(layout.descriptorTable, layout.usedRing - layout.descriptorTable),
    ];
    expect(rings(inOne)).toEqual(rings(inSteps));
    const { device, chain, driver } = inOne;
    expect([device.next(chain), chain.readableBytes, chain.writableBytes]).toEqual([true, 100, 0]);
    device.complete(chain.head, 0);
    expect([device.next(chain), chain.readableBytes, chain.writableBytes]).toEqual([true, 0, 200]);
    device.complete(chain.head, 200);
    device.publish();
    expect([driver.poll(), driver.usedLength, driver.poll(), driver.usedLength]).toEqual(["read", 0, "write", 200]);
  });

  it("false when there is no room, and again after what came back", () => {
    const { driver, device, chain } = createQueuePair({ size: 2 });
    expect([1, 2, 3].map((token) => driver.lendWritable(0x1_0000, 16, token))).toEqual([true, true, false]);
    driver.publish();
    device.next(chain);
    device.complete(chain.head, 0);
    device.publish();
    expect(driver.lendReadable(0x1_0000, 16, 4)).toBe(false);
    expect([driver.poll(), driver.lendReadable(0x1_0000, 16, 4), driver.free]).toEqual([1, true, 0]);
  });

  it("throws for what the caller got wrong, and nothing is lent", () => {
    const { driver, memory } = createQueuePair<number | undefined>({ size: 4 });
    const wrong: [number, number, number | undefined, string][] = [
      [0x1_0000, 0, 1, "cannot be lent"],
      [0x1_0000, -1, 1, "cannot be lent"],
      [0x1_0000, 1.5, 1, "cannot be lent"],
      [0.5, 16, 1, "cannot be lent"],
      [-16, 16, 1, "cannot be lent"],
      [Number.NaN, 16, 1, "cannot be lent"],
      [memory.size - 15, 16, 1, "cannot be lent"],
      [2 ** 40, 16, 1, "cannot be lent"],
      [0x1_0000, 2 ** 32, 1, "cannot be lent"],
      [0x1_0000, 16, undefined, "a token is undefined"],
    ];
    for (const [address, length, token, message] of wrong) {
      expect(() => driver.lendReadable(address, length, token)).toThrow(message);
      expect(() => driver.lendWritable(address, length, token)).toThrow(message);
    }
    expect([driver.free, driver.inFlight, driver.publish()]).toEqual([4, 0, false]);
    driver.beginChain(1);
    expect(() => driver.lendWritable(0x1_0000, 16, 1)).toThrow("before the one before it was ended");
    expect([driver.lendWritable(0x1_0000, 16, 1), driver.free]).toEqual([true, 3]); // the open chain was dropped
  });

  it("takes buffers beyond 2 GiB, and beyond 4 GiB", () => {
    for (const base of [2 ** 31, 2 ** 32 - 0x10_0000, 2 ** 32 + 0x10_0000]) {
      const memory = GuestMemory.allocate({ size: 2 << 20, base: guestAddress(base) });
      const { driver, device, chain, layout, buffers } = createQueuePair({ size: 2, memory });
      const address = buffers + 0x10_0000;
      expect(driver.lendWritable(address, 16, 1)).toBe(true);
      expect(readRawDescriptor(memory, layout.descriptorTable, 0)).toEqual({
        address,
        length: 16,
        flags: DESCRIPTOR_WRITE,
        next: 0,
      });
      driver.publish();
      expect([device.next(chain), chain.address(0), chain.length(0)]).toEqual([true, address, 16]);
    }
  });

  it("does nothing on a queue that a device has broken", () => {
    const { driver, memory, layout } = createQueuePair({ size: 4 });
    memory.write(guestAddress(layout.usedRing + 2), Uint8Array.of(1, 0));
    expect([driver.poll(), driver.violation?.kind]).toEqual([undefined, "used-index-jump"]);
    expect([driver.lendReadable(0x1_0000, 16, 1), driver.lendWritable(0x1_0000, 16, 1)]).toEqual([false, false]);
  });
});
