import { GuestMemory, guestAddress } from "@toril/memory";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SplitChain } from "./chain.ts";
import { createQueuePair } from "./testing/index.ts";

const BASE = 4096;
const SPACE = 4096;

/** A chain over segments of these lengths, one behind the other with gaps, in memory whose byte at i is i mod 251. */
function chainOver(
  readable: readonly number[],
  writable: readonly number[],
  sharing: "shared" | "unshared" = "unshared",
) {
  const memory = GuestMemory.allocate({ size: 65_536, sharing });
  const bytes = memory.bytes(guestAddress(0), 65_536);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i % 251;
  const chain = new SplitChain({}, memory, 256);
  let address = BASE;
  const places: number[] = [];
  for (const [i, length] of [...readable, ...writable].entries()) {
    chain.set(i, address, length);
    for (let b = 0; b < length; b++) places.push(address + b);
    address += length + 3;
  }
  const sum = (of: readonly number[]): number => of.reduce((total, length) => total + length, 0);
  chain.finish(0, readable.length + writable.length, readable.length, sum(readable), sum(writable));
  return {
    memory,
    bytes,
    chain,
    readPlaces: places.slice(0, chain.readableBytes),
    writePlaces: places.slice(chain.readableBytes),
  };
}

const lengths = fc.array(fc.nat(200), { maxLength: 6 });

describe("§2.7.4.1: the bytes of a chain do not depend on how it is cut into buffers", () => {
  it("read copies the readable bytes from any offset", () => {
    fc.assert(
      fc.property(lengths, lengths, fc.nat(SPACE), fc.nat(500), (readable, writable, offset, wanted) => {
        const { chain, readPlaces } = chainOver(readable, writable);
        const target = new Uint8Array(wanted).fill(255);
        const expected = readPlaces.slice(offset, offset + wanted).map((place) => place % 251);
        expect(chain.read(offset, target)).toBe(expected.length);
        expect([...target]).toEqual([...expected, ...new Array(wanted - expected.length).fill(255)]);
      }),
    );
  });

  it("write fills the writable bytes from any offset, and nothing else", () => {
    fc.assert(
      fc.property(
        lengths,
        lengths,
        fc.nat(600),
        fc.nat(700),
        fc.boolean(),
        (readable, writable, offset, length, shared) => {
          const { chain, bytes, writePlaces } = chainOver(readable, writable, shared ? "shared" : "unshared");
          const before = [...bytes.subarray(BASE, BASE + SPACE)];
          const touched = writePlaces.slice(offset, offset + length);
          expect(chain.write(offset, new Uint8Array(length).fill(254))).toBe(touched.length);
          for (const place of touched) before[place - BASE] = 254;
          expect([...bytes.subarray(BASE, BASE + SPACE)]).toEqual(before);
        },
      ),
    );
  });

  it("copies between guest buffers of the same memory", () => {
    const { memory, chain } = chainOver([300], [400]);
    const inGuest = memory.bytes(guestAddress(40_000), 300);
    expect(chain.read(0, inGuest)).toBe(300);
    expect(inGuest[299]).toBe((BASE + 299) % 251);
    expect(chain.write(100, inGuest)).toBe(300);
    expect(chain.view(1)[399]).toBe((BASE + 299) % 251);
  });

  it("view is the segment itself", () => {
    const { chain, bytes } = chainOver([], [8]);
    chain.view(0)[7] = 99;
    expect(bytes[BASE + 7]).toBe(99);
  });

  it("refuses a segment or an offset that is not there: the caller's bug", () => {
    const { chain } = chainOver([4], []);
    expect(() => chain.address(1)).toThrow("segment 1 of a chain of 1: give 0 to 0");
    expect(() => chain.length(-1)).toThrow(RangeError);
    expect(() => chain.view(0.5)).toThrow(RangeError);
    expect(() => chain.read(-1, new Uint8Array(1))).toThrow("offset -1 in a chain");
    expect(() => chain.write(Number.NaN, new Uint8Array(1))).toThrow(RangeError);
  });
});

describe("a chain object", () => {
  it("grows to the longest chain of its queue, and shrinks for the next one", () => {
    const { driver, device, chain, buffers } = createQueuePair({ size: 256 });
    for (const segments of [256, 1, 200]) {
      driver.beginChain(segments);
      for (let i = 0; i < segments; i++) driver.addReadable(buffers + i * 16, i + 1);
      driver.endChain(segments);
      driver.publish();
      expect(device.next(chain)).toBe(true);
      expect(chain.count).toBe(segments);
      for (let i = 0; i < segments; i++) expect([chain.address(i), chain.length(i)]).toEqual([buffers + i * 16, i + 1]);
      expect(() => chain.length(segments)).toThrow(RangeError);
      device.complete(chain.head, 0);
      device.publish();
      expect(driver.poll()).toBe(segments);
    }
  });

  it("belongs to one queue", () => {
    const { chain } = createQueuePair();
    const { device } = createQueuePair();
    expect(() => device.next(chain)).toThrow("not made by this queue's createChain");
  });
});
