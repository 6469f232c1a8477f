import { describe, expect, it } from "vitest";
import { createQueuePair } from "./testing/index.ts";

function lendThree({ driver, buffers }: ReturnType<typeof createQueuePair>): void {
  for (let i = 0; i < 3; i++) {
    driver.beginChain(1);
    driver.addWritable(buffers + 512 * i, 512);
    driver.endChain(100 + i);
  }
  driver.publish();
}

/** Heads 2 and 0 came back, with 0x1ff and 5 bytes written. */
// biome-ignore format: one line per field
const GOLDEN = [
  0x00, 0x00,                                     // flags
  0x02, 0x00,                                     // idx
  0x02, 0x00, 0x00, 0x00, 0xff, 0x01, 0x00, 0x00, // ring[0]: id 2, len 0x1ff
  0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, // ring[1]: id 0, len 5
];

describe("§2.7.8: the used ring, byte by byte", () => {
  it("is what a device writes", () => {
    const pair = createQueuePair({ size: 4, eventIdx: true });
    const { device, chain, memory, layout } = pair;
    lendThree(pair);
    while (device.next(chain)) {}
    device.complete(2, 0x1ff);
    device.complete(0, 5);
    expect([...memory.bytes(layout.usedRing, 4)]).toEqual([0, 0, 0, 0]); // nothing is seen before publish
    device.publish();
    device.armAvailableNotifications();
    // biome-ignore format: one line per field
    expect([...memory.bytes(layout.usedRing, 38)]).toEqual([
      ...GOLDEN,
      ...new Array(16).fill(0), // ring[2], ring[3]
      0x03, 0x00,               // avail_event: notify when entry 3 is written
    ]);
  });

  it("is what a driver reads", () => {
    const pair = createQueuePair({ size: 4 });
    const { driver, memory, layout } = pair;
    lendThree(pair);
    memory.write(layout.usedRing, Uint8Array.from(GOLDEN));
    expect([driver.poll(), driver.usedLength]).toEqual([102, 0x1ff]);
    expect([driver.poll(), driver.usedLength]).toEqual([100, 5]);
    expect([driver.poll(), driver.violation, driver.inFlight]).toEqual([undefined, undefined, 1]);
  });

  it("flags bit 0 suppresses notifications without EVENT_IDX (§2.7.10.2)", () => {
    const { device, memory, layout } = createQueuePair({ size: 4 });
    device.suppressAvailableNotifications();
    expect([...memory.bytes(layout.usedRing, 2)]).toEqual([1, 0]);
    expect(device.armAvailableNotifications()).toBe(false);
    expect([...memory.bytes(layout.usedRing, 2)]).toEqual([0, 0]);
  });
});
