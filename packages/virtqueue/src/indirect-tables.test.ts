import { type DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { SplitDriverQueue } from "./driver-queue.ts";
import { indirectTableBytes } from "./indirect-tables.ts";
import { layoutAt } from "./queue-layout.ts";
import { createBumpAllocator, createQueuePair, readRawDescriptor, ScriptedDevice } from "./testing/index.ts";

const SIZE = 4;

function buffer(memory: GuestMemory, length: number): DmaBuffer {
  const found = createBumpAllocator(memory, guestAddress(0x4000)).allocateDma(length);
  if (found === undefined) throw new Error("no room");
  return found;
}

describe("§2.7.5.3: indirect descriptors of a driver", () => {
  it("a chain of several segments takes one descriptor, byte by byte", () => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    const layout = layoutAt(guestAddress(0x1000), SIZE);
    const tables = buffer(memory, indirectTableBytes(SIZE, 3));
    const driver = new SplitDriverQueue<number>({
      memory,
      layout,
      eventIdx: false,
      indirect: { tables, maxSegments: 3 },
    });
    driver.beginChain(1);
    driver.addReadable(0x8000, 1);
    driver.endChain(1);
    driver.beginChain(3);
    driver.addReadable(0x9000, 0x10);
    driver.addWritable(0xa000, 0x20);
    driver.addWritable(0xb000, 0x30);
    driver.endChain(2);
    expect(driver.free).toBe(2);
    // Descriptor 1 refers to its table: the second one, 48 bytes each, from 0x4000 on.
    // biome-ignore format: one line per field
    expect([...memory.bytes(guestAddress(layout.descriptorTable + 16), 16)]).toEqual([
      0x30, 0x40, 0, 0, 0, 0, 0, 0, // addr: 0x4030
      0x30, 0, 0, 0,                // len: 3 descriptors
      4, 0, 0, 0,                   // flags: INDIRECT, without NEXT
    ]);
    // biome-ignore format: one line per descriptor
    expect([...memory.bytes(guestAddress(0x4030), 48)]).toEqual([
      0x00, 0x90, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 1, 0, // readable, NEXT, next 1
      0x00, 0xa0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 3, 0, 2, 0, // WRITE | NEXT, next 2
      0x00, 0xb0, 0, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 2, 0, 0, 0, // WRITE
    ]);
    // A single segment stays direct.
    expect(readRawDescriptor(memory, layout.descriptorTable, 0)).toEqual({
      address: 0x8000,
      length: 1,
      flags: 0,
      next: 0,
    });
  });

  it("as many long chains as descriptors; longer ones go direct", () => {
    const { driver, device, memory, layout, chain, buffers } = createQueuePair({ size: 8, indirectSegments: 4 });
    const script = new ScriptedDevice(memory, layout);
    for (let c = 0; c < 3; c++) {
      driver.beginChain(4);
      for (let i = 0; i < 4; i++) driver.addReadable(buffers + 64 * c + i, c + 1);
      driver.endChain(c);
    }
    expect(driver.free).toBe(5);
    expect(driver.beginChain(5)).toBe(true); // beyond maxSegments: direct
    for (let i = 0; i < 5; i++) driver.addWritable(buffers + 512 + i, 1);
    driver.endChain(3);
    expect([driver.free, driver.inFlight, driver.beginChain(1), driver.beginChain(4)]).toEqual([0, 4, false, false]);
    driver.publish();
    expect(script.takeAvailable().map((head) => script.readChain(head).length)).toEqual([4, 4, 4, 5]);
    const counts: number[] = [];
    while (device.next(chain)) {
      counts.push(chain.count);
      device.complete(chain.head, chain.writableBytes);
    }
    expect(counts).toEqual([4, 4, 4, 5]);
    device.publish();
    expect([driver.poll(), driver.poll(), driver.poll(), driver.poll(), driver.usedLength]).toEqual([0, 1, 2, 3, 5]);
    expect(driver.free).toBe(8);
  });

  it.each([
    [1, 4096, "indirect tables of 1 segments: give 2 to 4"],
    [5, 4096, "give 2 to 4, the size of the queue"],
    [2.5, 4096, "indirect tables of 2.5"],
    [4, 16 * SIZE * 4 - 1, "the indirect tables need 256 bytes, but the buffer has 255"],
  ])("refuses %d segments in %i bytes", (maxSegments, length, message) => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    const layout = layoutAt(guestAddress(0x1000), SIZE);
    const tables = buffer(memory, length);
    expect(() => new SplitDriverQueue({ memory, layout, eventIdx: false, indirect: { tables, maxSegments } })).toThrow(
      message,
    );
  });
});
