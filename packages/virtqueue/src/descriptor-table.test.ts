import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { createQueuePair } from "./testing/index.ts";

/** Two descriptors as §2.7.5 lays them out: an 11-byte readable buffer, then a 4,096-byte writable one. */
// biome-ignore format: one line per field
const GOLDEN = [
  0x00, 0x10, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, // addr: 0x10_1000
  0x0b, 0x00, 0x00, 0x00,                         // len: 11
  0x01, 0x00,                                     // flags: NEXT
  0x01, 0x00,                                     // next: descriptor 1
  0x00, 0x20, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, // addr: 0x10_2000
  0x00, 0x10, 0x00, 0x00,                         // len: 4,096
  0x02, 0x00,                                     // flags: WRITE
  0x00, 0x00,                                     // next: none
];

describe("§2.7.5: the descriptor table, byte by byte", () => {
  it("is what a driver writes", () => {
    const { driver, memory, layout } = createQueuePair({ size: 4 });
    driver.beginChain(2);
    driver.addReadable(0x10_1000, 11);
    driver.addWritable(0x10_2000, 4096);
    driver.endChain(1);
    expect([...memory.bytes(layout.descriptorTable, 32)]).toEqual(GOLDEN);
    // A driver that only ends a chain has shown nothing yet: the rest is zero.
    expect(memory.bytes(guestAddress(layout.descriptorTable + 32), 32).every((byte) => byte === 0)).toBe(true);
  });

  it("is what a device reads", () => {
    const { device, memory, layout, chain } = createQueuePair({ size: 4 });
    memory.write(layout.descriptorTable, Uint8Array.from(GOLDEN));
    memory.write(layout.availableRing, Uint8Array.of(0, 0, 1, 0)); // idx 1, ring[0] = 0
    expect(device.next(chain)).toBe(true);
    expect([chain.head, chain.count, chain.readableCount, chain.readableBytes, chain.writableBytes]).toEqual([
      0, 2, 1, 11, 4096,
    ]);
    expect([chain.address(0), chain.length(0), chain.address(1), chain.length(1)]).toEqual([
      0x10_1000, 11, 0x10_2000, 4096,
    ]);
  });

  it("has 64-bit addresses, low half first", () => {
    const base = guestAddress(0x12_3456_7000);
    const memory = GuestMemory.map([{ base, buffer: new ArrayBuffer(65_536) }]);
    const { driver, device, layout, chain } = createQueuePair({ size: 4, memory });
    driver.beginChain(1);
    driver.addWritable(base + 0x8000, 16);
    driver.endChain(1);
    // addr 0x12_3456_f000, len 16, flags WRITE, next 0
    expect([...memory.bytes(layout.descriptorTable, 16)]).toEqual([
      0x00, 0xf0, 0x56, 0x34, 0x12, 0, 0, 0, 0x10, 0, 0, 0, 2, 0, 0, 0,
    ]);
    driver.publish();
    expect(device.next(chain)).toBe(true);
    expect(chain.address(0)).toBe(0x12_3456_f000);
  });
});
