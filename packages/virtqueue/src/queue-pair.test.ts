import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { layoutAt, SplitDeviceQueue, SplitDriverQueue } from "./index.ts";

function pair(size: number, eventIdx = false) {
  const memory = GuestMemory.allocate({ size: 1 << 20 });
  const layout = layoutAt(guestAddress(4096), size);
  const driver = new SplitDriverQueue<string>({ memory, layout, eventIdx });
  const device = new SplitDeviceQueue({ memory, layout, eventIdx, indirect: false });
  return { memory, layout, driver, device, chain: device.createChain() };
}

describe("§2.7.13 and §2.7.14: a driver and a device over one memory", () => {
  it("moves chains there and back, out of order", () => {
    const { memory, driver, device } = pair(8);
    const buffer = guestAddress(65_536);
    memory.write(buffer, Uint8Array.of(1, 2, 3, 4));
    for (const token of ["a", "b"]) {
      expect(driver.beginChain(2)).toBe(true);
      driver.addReadable(buffer, 4);
      driver.addWritable(buffer + 100, 10);
      driver.endChain(token);
    }
    const [first, second] = [device.createChain(), device.createChain()];
    expect(device.next(first)).toBe(false);
    expect(driver.publish()).toBe(true);
    expect([device.next(first), device.next(second), device.next(device.createChain())]).toEqual([true, true, false]);
    const read = new Uint8Array(10);
    expect(first.read(1, read)).toBe(3);
    expect([...read.subarray(0, 3)]).toEqual([2, 3, 4]);
    expect(second.write(8, Uint8Array.of(7, 8, 9))).toBe(2);
    device.complete(second.head, 10);
    device.complete(first.head, 0);
    expect(driver.poll()).toBeUndefined();
    expect(device.publish()).toBe(true);
    expect([driver.poll(), driver.usedLength]).toEqual(["b", 10]);
    expect([driver.poll(), driver.usedLength]).toEqual(["a", 0]);
    expect([driver.poll(), driver.free, driver.inFlight, device.outstanding]).toEqual([undefined, 8, 0, 0]);
  });

  it("goes round the 16-bit indices", () => {
    for (const eventIdx of [false, true]) {
      const { driver, device, chain } = pair(4, eventIdx);
      for (let i = 0; i < 70_000; i++) {
        if (!driver.beginChain(1)) throw new Error("full");
        driver.addReadable(65_536, 1 + (i % 100));
        driver.endChain(`${i}`);
        driver.publish();
        if (!device.next(chain)) throw new Error(device.violation?.message);
        device.complete(chain.head, 0);
        device.publish();
        if (driver.poll() !== `${i}`) throw new Error(driver.violation?.message);
      }
      expect([driver.violation, device.violation]).toEqual([undefined, undefined]);
    }
  });
});
