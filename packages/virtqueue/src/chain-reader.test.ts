import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { SplitDeviceQueue } from "./device-queue.ts";
import { layoutAt } from "./queue-layout.ts";
import {
  DESCRIPTOR_INDIRECT as I,
  DESCRIPTOR_NEXT as N,
  ScriptedDriver,
  DESCRIPTOR_WRITE as W,
} from "./testing/index.ts";
import type { ViolationKind } from "./violation.ts";

const SIZE = 4;
const LOW = 0x2_0000;
const HIGH = 0x1_0000_0000;
const REGION = 0x1_0000;
const TABLE = LOW + 0x8000;

/** A raw driver and a real device over two regions: 0 … 0x1_0000 with the rings, LOW …, and one above 4 GiB. */
function scripted({ indirect = true }: { indirect?: boolean } = {}) {
  const memory = GuestMemory.map(
    [0, LOW, HIGH].map((base) => ({ base: guestAddress(base), buffer: new ArrayBuffer(REGION) })),
  );
  const layout = layoutAt(guestAddress(0x1000), SIZE);
  const device = new SplitDeviceQueue({ memory, layout, eventIdx: false, indirect });
  return { memory, device, script: new ScriptedDriver(memory, layout), chain: device.createChain() };
}

describe("§2.7.4, §2.7.5: chains that the spec allows", () => {
  it("takes descriptors in any order, through all regions", () => {
    const { device, script, chain } = scripted();
    script.describe(3, { address: LOW, length: 5, flags: N, next: 0 });
    script.describe(0, { address: HIGH + REGION - 7, length: 7, flags: N, next: 2 });
    script.describe(2, { address: 0, length: 1, flags: N | W, next: 1 });
    script.describe(1, { address: HIGH, length: REGION, flags: W });
    script.offer(3);
    expect(device.next(chain)).toBe(true);
    expect([chain.head, chain.count, chain.readableCount, chain.readableBytes, chain.writableBytes]).toEqual([
      3,
      4,
      2,
      12,
      1 + REGION,
    ]);
    expect([0, 1, 2, 3].map((i) => [chain.address(i), chain.length(i)])).toEqual([
      [LOW, 5],
      [HIGH + REGION - 7, 7],
      [0, 1],
      [HIGH, REGION],
    ]);
  });

  it("§2.7.5: next means nothing without NEXT, and unknown flags nothing at all", () => {
    const { device, script, chain } = scripted();
    script.describe(0, { address: LOW, length: 5, flags: 0xfff8 | W, next: 999 });
    script.offer(0);
    expect([device.next(chain), chain.count, chain.writableBytes]).toEqual([true, 1, 5]);
  });

  it("§2.7.5.3.2: takes direct descriptors followed by one indirect table, and ignores WRITE on the reference", () => {
    const { device, script, chain } = scripted();
    script.describe(1, { address: LOW, length: 1, flags: N, next: 2 });
    script.describe(2, { address: TABLE, length: 48, flags: I | W });
    script.describeTable(TABLE, [
      { address: LOW + 10, length: 2, flags: N, next: 2 },
      { address: 0xdead_beef_0000, length: 99 }, // skipped: no link leads here
      { address: LOW + 20, length: 3, flags: W },
    ]);
    script.offer(1);
    expect(device.next(chain)).toBe(true);
    expect([chain.head, chain.count, chain.readableBytes, chain.writableBytes]).toEqual([1, 3, 3, 3]);
    expect([chain.address(1), chain.address(2)]).toEqual([LOW + 10, LOW + 20]);
  });

  it("§2.7.5.3: a table may lie at any address, and above 4 GiB", () => {
    for (const table of [TABLE + 1, TABLE + 2, TABLE + 15, HIGH + 3, HIGH + 16]) {
      const { device, script, chain } = scripted();
      script.describe(0, { address: table, length: 32, flags: I });
      script.describeTable(table, [
        { address: LOW + 1, length: 6, flags: N, next: 1 },
        { address: HIGH + 5, length: 8, flags: W },
      ]);
      script.offer(0);
      expect(device.next(chain)).toBe(true);
      expect([chain.address(0), chain.length(0), chain.address(1), chain.length(1)]).toEqual([LOW + 1, 6, HIGH + 5, 8]);
    }
  });

  it("§2.7.5: as many buffers as the queue has entries, direct or indirect", () => {
    const { device, script, chain } = scripted();
    for (let i = 0; i < SIZE; i++)
      script.describe(i, { address: LOW, length: 1, flags: i < SIZE - 1 ? N : 0, next: i + 1 });
    script.offer(0);
    expect([device.next(chain), chain.count]).toEqual([true, SIZE]);
    device.complete(0, 0);
    device.publish();
    const links = Array.from({ length: SIZE }, (_, i) => ({
      address: LOW,
      length: 1,
      flags: i < SIZE - 1 ? N : 0,
      next: i + 1,
    }));
    script.describeTable(TABLE, links);
    script.describe(2, { address: TABLE, length: 16 * 100, flags: I }); // a table may be longer than its chain
    script.offer(2);
    expect([device.next(chain), chain.count]).toEqual([true, SIZE]);
  });

  it("reads each descriptor once: what the driver changes later does not reach the chain", () => {
    const { device, script, chain } = scripted();
    script.describe(0, { address: LOW, length: 5, flags: W });
    script.offer(0);
    expect(device.next(chain)).toBe(true);
    script.describe(0, { address: 2 ** 50, length: 0xffff_ffff });
    expect([chain.address(0), chain.length(0), chain.writableBytes]).toEqual([LOW, 5, 5]);
    expect(() => device.complete(0, 6)).toThrow(RangeError);
  });
});

type Script = (script: ScriptedDriver) => void;

const oneBuffer = { address: LOW, length: 16 };

const hostile: readonly [what: string, kind: ViolationKind, section: string, script: Script][] = [
  [
    "a chain that loops to its head",
    "chain-loop",
    "2.7.5.2",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N, next: 1 });
      script.describe(1, { ...oneBuffer, flags: N, next: 0 });
      script.offer(0);
    },
  ],
  [
    "a descriptor that is its own successor",
    "chain-loop",
    "2.7.5.2",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N | W, next: 0 });
      script.offer(0);
    },
  ],
  [
    "a next outside the table",
    "next-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N, next: SIZE });
      script.offer(0);
    },
  ],
  [
    "a next of 65,535",
    "next-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N, next: 65_535 });
      script.offer(0);
    },
  ],
  [
    "an address between two regions",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: REGION, length: 1 });
      script.offer(0);
    },
  ],
  [
    "a buffer that ends after its region",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: LOW + REGION - 8, length: 9 });
      script.offer(0);
    },
  ],
  [
    "a buffer from one region into nothing, though the next region follows",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: REGION - 1, length: 2 });
      script.offer(0);
    },
  ],
  [
    "an address above 2^53",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: 2 ** 63, length: 1 });
      script.offer(0);
    },
  ],
  [
    "address + length beyond 2^64",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: 2 ** 64 - 4096, length: 0xffff_ffff });
      script.offer(0);
    },
  ],
  [
    "a length of 2^32 - 1",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: LOW, length: 0xffff_ffff });
      script.offer(0);
    },
  ],
  [
    "an empty buffer at a wild address",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: 2 ** 52, length: 0 });
      script.offer(0);
    },
  ],
  [
    "a good first buffer and a wild second one",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N, next: 1 });
      script.describe(1, { address: 2 ** 40, length: 1 });
      script.offer(0);
    },
  ],
  [
    "a readable buffer after a writable one",
    "readable-after-writable",
    "2.7.4.2",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N | W, next: 1 });
      script.describe(1, oneBuffer);
      script.offer(0);
    },
  ],
  [
    "a readable buffer in a table after a writable direct one",
    "readable-after-writable",
    "2.7.4.2",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N | W, next: 1 });
      script.describe(1, { address: TABLE, length: 16, flags: I });
      script.describeTable(TABLE, [oneBuffer]);
      script.offer(0);
    },
  ],
  [
    "an indirect table with NEXT",
    "indirect-with-next",
    "2.7.5.3.1",
    (script) => {
      script.describe(0, { address: TABLE, length: 16, flags: I | N, next: 1 });
      script.describe(1, oneBuffer);
      script.describeTable(TABLE, [oneBuffer]);
      script.offer(0);
    },
  ],
  [
    "an indirect table inside an indirect table",
    "indirect-nested",
    "2.7.5.3.1",
    (script) => {
      script.describe(0, { address: TABLE, length: 16, flags: I });
      script.describeTable(TABLE, [{ address: TABLE, length: 16, flags: I }]);
      script.offer(0);
    },
  ],
  [
    "an empty indirect table",
    "indirect-bad-table",
    "2.7.5.3",
    (script) => {
      script.describe(0, { address: TABLE, length: 0, flags: I });
      script.offer(0);
    },
  ],
  [
    "an indirect table of odd length",
    "indirect-bad-table",
    "2.7.5.3",
    (script) => {
      script.describe(0, { address: TABLE, length: 24, flags: I });
      script.offer(0);
    },
  ],
  [
    "an indirect table of more descriptors than next can name",
    "indirect-bad-table",
    "2.7.5.3",
    (script) => {
      script.describe(0, { address: TABLE, length: 16 * 65_537, flags: I });
      script.offer(0);
    },
  ],
  [
    "an indirect table outside memory",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: LOW + REGION - 16, length: 32, flags: I });
      script.offer(0);
    },
  ],
  [
    "an indirect table above 2^53",
    "address-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: 2 ** 60, length: 32, flags: I });
      script.offer(0);
    },
  ],
  [
    "a next outside the indirect table",
    "next-out-of-range",
    "2.7.5",
    (script) => {
      script.describe(0, { address: TABLE, length: 32, flags: I });
      script.describeTable(TABLE, [{ ...oneBuffer, flags: N, next: 2 }]);
      script.offer(0);
    },
  ],
  [
    "a loop in an indirect table",
    "chain-loop",
    "2.7.5.2",
    (script) => {
      script.describe(0, { address: TABLE, length: 32, flags: I });
      script.describeTable(TABLE, [
        { ...oneBuffer, flags: N, next: 1 },
        { ...oneBuffer, flags: N, next: 0 },
      ]);
      script.offer(0);
    },
  ],
  [
    "a loop in a table longer than the queue",
    "chain-too-long",
    "2.7.5.3.1",
    (script) => {
      script.describe(0, { address: TABLE, length: 16 * 64, flags: I });
      script.describeTable(TABLE, [{ ...oneBuffer, flags: N, next: 0 }]);
      script.offer(0);
    },
  ],
  [
    "direct and indirect buffers that are together longer than the queue",
    "chain-too-long",
    "2.7.5.3.1",
    (script) => {
      script.describe(0, { ...oneBuffer, flags: N, next: 1 });
      script.describe(1, { address: TABLE, length: 16 * SIZE, flags: I });
      script.describeTable(
        TABLE,
        Array.from({ length: SIZE }, (_, i) => ({ ...oneBuffer, flags: i < SIZE - 1 ? N : 0, next: i + 1 })),
      );
      script.offer(0);
    },
  ],
];

describe("§2.7.5: a hostile driver's chains break the queue, and nothing else", () => {
  it.each(hostile)("%s: %s (§%s)", (_, kind, section, run) => {
    const { device, script, chain, memory } = scripted();
    run(script);
    const before = memory.regions.map((region) => region.u8.slice());
    expect(device.next(chain)).toBe(false);
    expect(device.violation).toMatchObject({ kind, section });
    expect(device.violation?.message).toMatch(/chain 0/);
    // It stays broken, without another look at the rings, and has written nothing.
    script.describe(3, oneBuffer);
    script.offer(3);
    expect([device.next(chain), device.outstanding, device.publish()]).toEqual([false, 0, false]);
    expect(device.armAvailableNotifications()).toBe(false);
    expect(device.violation).toMatchObject({ kind });
    for (const i of [1, 2]) {
      expect(Buffer.compare(memory.regions[i]?.u8 ?? Buffer.of(), before[i] ?? Buffer.of(0))).toBe(0);
    }
    expect(script.readUsedIndex()).toBe(0);
  });

  it("§2.7.5.3.1: an indirect table that was not negotiated", () => {
    const { device, script, chain } = scripted({ indirect: false });
    script.describe(0, { address: TABLE, length: 16, flags: I });
    script.describeTable(TABLE, [oneBuffer]);
    script.offer(0);
    expect([device.next(chain), device.violation?.kind]).toEqual([false, "indirect-not-negotiated"]);
  });
});

describe("§2.7.5.2: at most 2^32 bytes in a chain", () => {
  // The descriptors all name the same 64 MiB.
  const PIECE = 2 ** 26;
  const PIECES = new Array<number>(64).fill(PIECE);
  const memory = GuestMemory.map([
    { base: guestAddress(0), buffer: new ArrayBuffer(REGION) },
    { base: guestAddress(HIGH), buffer: new ArrayBuffer(PIECE) },
  ]);
  function chainOf(lengths: readonly number[], flags: number) {
    const layout = layoutAt(guestAddress(0x1000), 128);
    memory.fill(guestAddress(0), REGION);
    const device = new SplitDeviceQueue({ memory, layout, eventIdx: false, indirect: true });
    const script = new ScriptedDriver(memory, layout);
    lengths.forEach((length, i) => {
      script.describe(i, { address: HIGH, length, flags: flags | (i < lengths.length - 1 ? N : 0), next: i + 1 });
    });
    script.offer(0);
    const chain = device.createChain();
    return { taken: device.next(chain), chain, device };
  }

  it.each([0, W])("exactly 2^32 are taken (flags %i)", (flags) => {
    const { taken, chain } = chainOf(PIECES, flags);
    expect([taken, chain.readableBytes + chain.writableBytes]).toEqual([true, 2 ** 32]);
  });

  it.each([0, W])("one more is refused (flags %i)", (flags) => {
    const { taken, device } = chainOf([...PIECES, 1], flags);
    expect([taken, device.violation?.kind, device.violation?.section]).toEqual([false, "chain-over-4-gib", "2.7.5.2"]);
  });
});
