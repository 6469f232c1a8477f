import { describe, expect, it } from "vitest";
import { createQueuePair, ScriptedDriver } from "./testing/index.ts";

function addOne(driver: ReturnType<typeof createQueuePair>["driver"], address: number): void {
  driver.beginChain(1);
  driver.addReadable(address, 1);
  driver.endChain(address);
}

describe("§2.7.6: the available ring, byte by byte", () => {
  it("is what a driver writes", () => {
    const { driver, memory, layout, buffers } = createQueuePair({ size: 4, eventIdx: true });
    for (let i = 0; i < 3; i++) addOne(driver, buffers);
    driver.publish();
    driver.suppressUsedNotifications();
    // biome-ignore format: one line per field
    expect([...memory.bytes(layout.availableRing, 14)]).toEqual([
      0x00, 0x00,                                     // flags: 0, as EVENT_IDX asks (§2.7.7.1)
      0x03, 0x00,                                     // idx
      0x00, 0x00, 0x01, 0x00, 0x02, 0x00, 0x00, 0x00, // ring: heads 0, 1, 2; the last slot is untouched
      0xff, 0xff,                                     // used_event: one behind used.idx, that is a whole round ahead
    ]);
  });

  it("shows nothing before publish, then everything in one store (§2.7.13.3)", () => {
    const { driver, device, chain, memory, layout, buffers } = createQueuePair({ size: 4 });
    addOne(driver, buffers);
    addOne(driver, buffers);
    expect([...memory.bytes(layout.availableRing, 4)]).toEqual([0, 0, 0, 0]);
    expect(device.next(chain)).toBe(false);
    driver.publish();
    expect([...memory.bytes(layout.availableRing, 4)]).toEqual([0, 0, 2, 0]);
  });

  it("is what a device reads: heads in ring order, from slot idx mod size on", () => {
    const { device, memory, layout, chain, buffers } = createQueuePair({ size: 4 });
    const script = new ScriptedDriver(memory, layout);
    for (let i = 0; i < 4; i++) script.describe(i, { address: buffers + i, length: i + 1 });
    // biome-ignore format: one line per field
    memory.write(layout.availableRing, Uint8Array.of(
      0x00, 0x00,                                     // flags
      0x03, 0x00,                                     // idx: 3
      0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x77, 0x77, // ring: heads 2, 0, 3; nothing yet in slot 3
      0x99, 0x99,                                     // used_event: ignored without EVENT_IDX
    ));
    const heads: number[] = [];
    while (device.next(chain)) heads.push(chain.head);
    expect(heads).toEqual([2, 0, 3]);
    expect(device.violation).toBeUndefined();
  });

  it("flags bit 0 suppresses interrupts without EVENT_IDX (§2.7.7.1)", () => {
    const { driver, memory, layout } = createQueuePair({ size: 4 });
    driver.suppressUsedNotifications();
    expect([...memory.bytes(layout.availableRing, 2)]).toEqual([1, 0]);
    expect(driver.armUsedNotifications()).toBe(false);
    expect([...memory.bytes(layout.availableRing, 2)]).toEqual([0, 0]);
  });
});
