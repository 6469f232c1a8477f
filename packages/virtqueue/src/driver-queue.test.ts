import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { SplitDeviceQueue } from "./device-queue.ts";
import { SplitDriverQueue } from "./driver-queue.ts";
import { layoutAt } from "./queue-layout.ts";
import { createQueuePair, ScriptedDevice } from "./testing/index.ts";
import type { ViolationKind } from "./violation.ts";

const SIZE = 4;
const BUFFER = 0x8000;

function scripted({ eventIdx = false }: { eventIdx?: boolean } = {}) {
  const memory = GuestMemory.allocate({ size: 65_536 });
  const layout = layoutAt(guestAddress(0x1000), SIZE);
  memory.fill(guestAddress(0), 65_536, 0xa5);
  const driver = new SplitDriverQueue<string>({ memory, layout, eventIdx });
  const script = new ScriptedDevice(memory, layout);
  /** Ends a chain of one readable byte and `writable` writable ones. */
  const add = (token: string, writable = 0): void => {
    expect(driver.beginChain(writable > 0 ? 2 : 1)).toBe(true);
    driver.addReadable(BUFFER, 1);
    if (writable > 0) driver.addWritable(BUFFER + 1, writable);
    driver.endChain(token);
  };
  return { memory, layout, driver, script, add };
}

describe("§2.7.10.1, §2.7.13: a fresh queue", () => {
  it("zeroes its rings: the driver MUST initialize flags in the used ring to 0", () => {
    const { driver, script, memory, layout } = scripted();
    expect([script.readAvailableFlags(), script.readAvailableIndex(), driver.free, driver.inFlight]).toEqual([
      0, 0, 4, 0,
    ]);
    expect(memory.bytes(layout.usedRing, 38).every((byte) => byte === 0)).toBe(true);
    expect(driver.poll()).toBeUndefined();
  });

  it("refuses a layout that does not fit", () => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    const layout = layoutAt(guestAddress(65_536 - 64), SIZE);
    expect(() => new SplitDriverQueue({ memory, layout, eventIdx: false })).toThrow(
      "not in one region of guest memory",
    );
  });
});

describe("§2.7.13: supplying buffers", () => {
  it("a full ring is back-pressure: beginChain changes nothing", () => {
    const { driver, script, add } = scripted();
    add("a");
    add("b", 1);
    expect(driver.beginChain(2)).toBe(false);
    add("c");
    expect([driver.beginChain(1), driver.free, driver.inFlight]).toEqual([false, 0, 3]);
    driver.publish();
    const [, b = -1] = script.takeAvailable();
    script.use(b, 1);
    expect([driver.poll(), driver.usedLength, driver.free]).toEqual(["b", 1, 2]);
    add("d", 7);
    driver.publish();
    expect(script.takeAvailable().map((head) => script.readChain(head).length)).toEqual([2]);
  });

  it("fills a ring with one chain of all descriptors", () => {
    const { driver, script } = scripted();
    expect(driver.beginChain(SIZE)).toBe(true);
    for (let i = 0; i < SIZE; i++) driver.addWritable(BUFFER + i, i + 1);
    driver.endChain("all");
    driver.publish();
    const [head = -1] = script.takeAvailable();
    expect(script.readChain(head).map(({ length }) => length)).toEqual([1, 2, 3, 4]);
    script.use(head, 10);
    expect([driver.poll(), driver.usedLength, driver.free]).toEqual(["all", 10, SIZE]);
  });

  it("never reads its own descriptors back", () => {
    const { driver, script, memory, layout, add } = scripted();
    add("a", 5);
    driver.publish();
    const [head = -1] = script.takeAvailable();
    memory.fill(layout.descriptorTable, 16 * SIZE, 0xff);
    memory.fill(guestAddress(layout.availableRing + 4), 2 * SIZE, 0xff);
    script.use(head, 5);
    expect([driver.poll(), driver.free]).toEqual(["a", SIZE]);
    add("b", 3);
    driver.publish();
    expect(script.readChain(script.takeAvailable()[0] ?? -1)).toMatchObject([{ length: 1 }, { length: 3, next: 0 }]);
  });

  const bugs: readonly [what: string, message: RegExp, run: (driver: SplitDriverQueue<string>) => void][] = [
    ["no segment", /a chain of 0 segments: give 1 to 4/, (driver) => driver.beginChain(0)],
    ["more segments than the queue has", /give 1 to 4, the size of the queue/, (driver) => driver.beginChain(5)],
    ["half a segment", /a chain of 1.5 segments/, (driver) => driver.beginChain(1.5)],
    ["a buffer without a chain", /no chain is open/, (driver) => driver.addReadable(BUFFER, 1)],
    ["an end without a chain", /no chain is open/, (driver) => driver.endChain("x")],
    [
      "a chain in a chain",
      /before the one before it was ended/,
      (driver) => {
        driver.beginChain(1);
        driver.beginChain(1);
      },
    ],
    [
      "too few segments",
      /segments are missing/,
      (driver) => {
        driver.beginChain(2);
        driver.addReadable(BUFFER, 1);
        driver.endChain("x");
      },
    ],
    [
      "too many segments",
      /has all its segments/,
      (driver) => {
        driver.beginChain(1);
        driver.addReadable(BUFFER, 1);
        driver.addReadable(BUFFER, 1);
      },
    ],
    [
      "readable after writable (§2.7.4.2)",
      /readable buffer was added after/,
      (driver) => {
        driver.beginChain(2);
        driver.addWritable(BUFFER, 1);
        driver.addReadable(BUFFER, 1);
      },
    ],
    [
      "an empty buffer",
      /0 bytes at guest address 32768 cannot be lent/,
      (driver) => {
        driver.beginChain(1);
        driver.addReadable(BUFFER, 0);
      },
    ],
    [
      "a negative length",
      /cannot be lent/,
      (driver) => {
        driver.beginChain(1);
        driver.addReadable(BUFFER, -1);
      },
    ],
    [
      "a buffer outside memory",
      /not in guest memory/,
      (driver) => {
        driver.beginChain(1);
        driver.addReadable(65_535, 2);
      },
    ],
    [
      "an address that is no number",
      /cannot be lent/,
      (driver) => {
        driver.beginChain(1);
        driver.addReadable(Number.NaN, 2);
      },
    ],
    [
      "an address between two bytes",
      /cannot be lent/,
      (driver) => {
        driver.beginChain(1);
        driver.addReadable(BUFFER + 0.5, 2);
      },
    ],
    [
      "poll in a chain",
      /poll between beginChain and endChain/,
      (driver) => {
        driver.beginChain(1);
        driver.poll();
      },
    ],
  ];

  it.each(bugs)("the caller's bug throws, and drops the open chain: %s", (_, message, run) => {
    const { driver, script, add } = scripted();
    add("before");
    expect(() => run(driver)).toThrow(message);
    expect([driver.free, driver.inFlight]).toEqual([3, 1]);
    add("after");
    driver.publish();
    expect(script.takeAvailable().map((head) => script.readChain(head).length)).toEqual([1, 1]);
  });

  it("an undefined token is refused, because poll could not return it", () => {
    const { driver } = createQueuePair<undefined>();
    driver.beginChain(1);
    driver.addReadable(BUFFER, 1);
    expect(() => driver.endChain(undefined)).toThrow(TypeError);
  });
});

describe("§2.7.8: a hostile device's used ring breaks the queue, and nothing else", () => {
  type Scripted = ReturnType<typeof scripted>;
  const hostile: readonly [what: string, kind: ViolationKind, section: string, run: (s: Scripted) => void][] = [
    ["idx ahead of all chains it has", "used-index-jump", "2.7.8", ({ script }) => script.writeUsedIndex(3)],
    ["idx one back", "used-index-jump", "2.7.8", ({ script }) => script.writeUsedIndex(65_535)],
    [
      "idx that counts a chain not yet published",
      "used-index-jump",
      "2.7.8",
      ({ script, add }) => {
        add("unpublished");
        script.writeUsedIndex(3);
      },
    ],
    ["an id outside the table", "used-id-out-of-range", "2.7.8", ({ script }) => script.use(SIZE, 0)],
    ["an id of 2^32 - 1", "used-id-out-of-range", "2.7.8", ({ script }) => script.use(0xffff_ffff, 0)],
    [
      "an id that looks right in its low 16 bits",
      "used-id-out-of-range",
      "2.7.8",
      ({ script }) => script.use(65_536, 0),
    ],
    ["the id of a free descriptor", "used-id-not-in-flight", "2.7.8", ({ script }) => script.use(3, 0)],
    ["the id of a descriptor inside a chain", "used-id-not-in-flight", "2.7.8", ({ script }) => script.use(2, 0)],
    [
      "the same id twice",
      "used-id-not-in-flight",
      "2.7.8",
      ({ script, driver }) => {
        script.use(0, 0);
        expect(driver.poll()).toBe("first");
        script.use(0, 0);
      },
    ],
    [
      "the same id twice in one batch",
      "used-id-not-in-flight",
      "2.7.8",
      ({ script, driver }) => {
        script.use(0, 0);
        script.use(0, 0);
        expect(driver.poll()).toBe("first");
      },
    ],
    [
      "the id of a chain that is not published yet",
      "used-id-not-in-flight",
      "2.7.8",
      ({ script, add }) => {
        add("unpublished");
        script.use(3, 0);
      },
    ],
    ["more bytes written than were writable", "used-length-too-long", "2.7.8.2", ({ script }) => script.use(1, 11)],
    ["bytes written to a readable chain", "used-length-too-long", "2.7.8.2", ({ script }) => script.use(0, 1)],
    ["2^32 - 1 bytes written", "used-length-too-long", "2.7.8.2", ({ script }) => script.use(1, 0xffff_ffff)],
  ];

  it.each(hostile)("%s: %s (§%s)", (_, kind, section, run) => {
    const s = scripted();
    s.add("first"); // descriptor 0
    s.add("second", 10); // descriptors 1 and 2
    s.driver.publish();
    run(s);
    expect(s.driver.poll()).toBeUndefined();
    expect(s.driver.violation).toMatchObject({ kind, section });
    // Broken until reset: nothing is added, published or returned.
    const index = s.script.readAvailableIndex();
    s.script.usedIndex = 0;
    s.script.use(0, 0);
    expect([s.driver.poll(), s.driver.beginChain(1), s.driver.publish(), s.driver.armUsedNotifications()]).toEqual([
      undefined,
      false,
      false,
      false,
    ]);
    expect(s.script.readAvailableIndex()).toBe(index);
    const tokens = s.driver.reset();
    expect(tokens).toContain("second");
    expect([s.driver.violation, s.driver.free, s.driver.inFlight, s.driver.beginChain(SIZE)]).toEqual([
      undefined,
      SIZE,
      0,
      true,
    ]);
  });

  it("a chain that stays out for more than 65,536 others is returned all the same", () => {
    const { driver, script, add } = scripted();
    add("patient", 1);
    driver.publish();
    const [patient = -1] = script.takeAvailable();
    for (let i = 0; i < 70_000; i++) {
      if (!driver.beginChain(1)) throw new Error("full");
      driver.addReadable(BUFFER, 1);
      driver.endChain("busy");
      driver.publish();
      script.use(script.takeAvailable()[0] ?? -1, 0);
      if (driver.poll() !== "busy") throw new Error(driver.violation?.message);
    }
    add("unpublished");
    script.use(patient, 1);
    expect([driver.poll(), driver.violation]).toEqual(["patient", undefined]);
  });
});

describe("§2.7.7: used buffer notifications", () => {
  it("without EVENT_IDX: flags; arming looks once more", () => {
    const { driver, script, add } = scripted();
    add("a");
    driver.publish();
    driver.suppressUsedNotifications();
    driver.suppressUsedNotifications();
    expect(script.readAvailableFlags()).toBe(1);
    script.use(0, 0);
    expect(driver.armUsedNotifications()).toBe(true);
    expect(script.readAvailableFlags()).toBe(0);
  });

  it("§2.7.7.1: with EVENT_IDX flags stay 0, and used_event names the next element", () => {
    const { driver, script, add } = scripted({ eventIdx: true });
    add("a");
    add("b");
    driver.publish();
    script.use(0, 0);
    driver.poll();
    expect(driver.armUsedNotifications()).toBe(false);
    expect([script.readAvailableFlags(), script.readUsedEvent()]).toEqual([0, 1]);
    script.use(1, 0);
    expect(driver.armUsedNotifications()).toBe(true);
    driver.suppressUsedNotifications();
    expect([script.readAvailableFlags(), script.readUsedEvent()]).toEqual([0, 0]);
  });
});

describe("§2.7.10.1: available buffer notifications", () => {
  it("without EVENT_IDX: when bit 0 of flags is clear, avail_event ignored", () => {
    const { driver, script, add } = scripted();
    script.writeAvailEvent(77);
    add("a");
    expect(driver.publish()).toBe(true);
    script.writeFlags(1);
    add("b");
    expect(driver.publish()).toBe(false);
    expect(driver.publish()).toBe(false); // nothing new
  });

  it("with EVENT_IDX: when the named entry was written, flags ignored", () => {
    const { driver, script, add } = scripted({ eventIdx: true });
    script.writeFlags(1);
    script.writeAvailEvent(2);
    add("a");
    add("b");
    expect(driver.publish()).toBe(false); // entries 0 and 1
    add("c");
    expect(driver.publish()).toBe(true); // entry 2
    add("d");
    expect(driver.publish()).toBe(false);
  });
});

describe("§2.1: reset", () => {
  it("returns the tokens in flight, zeroes the rings, and starts anew", () => {
    const { driver, script, add } = scripted({ eventIdx: true });
    add("a", 3);
    driver.publish();
    add("b");
    driver.armUsedNotifications();
    driver.beginChain(1);
    expect(driver.reset().sort()).toEqual(["a", "b"]);
    expect([script.readAvailableIndex(), script.readUsedEvent(), driver.free, driver.inFlight]).toEqual([
      0,
      0,
      SIZE,
      0,
    ]);
    expect(driver.reset()).toEqual([]);
    const fresh = new ScriptedDevice(script.memory, script.layout);
    add("c", 9);
    expect(driver.publish()).toBe(true);
    fresh.use(fresh.takeAvailable()[0] ?? -1, 9);
    expect([driver.poll(), driver.usedLength]).toEqual(["c", 9]);
  });
});

describe("startIndex: rings that start elsewhere", () => {
  it("serves a device that starts there, across the wrap, and starts at 0 after a reset", () => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    const layout = layoutAt(guestAddress(0x1000), SIZE);
    const driver = new SplitDriverQueue<number>({ memory, layout, eventIdx: true, startIndex: 65_535 });
    const device = new SplitDeviceQueue({ memory, layout, eventIdx: true, indirect: false, startIndex: 65_535 });
    const chain = device.createChain();
    expect([driver.inFlight, driver.poll(), device.next(chain)]).toEqual([0, undefined, false]);
    for (let token = 0; token < 3; token++) {
      driver.beginChain(1);
      driver.addReadable(BUFFER, 1);
      driver.endChain(token);
      // Fresh rings ask for the first notification; nobody asks again here.
      expect([driver.publish(), driver.inFlight, device.next(chain)]).toEqual([token === 0, 1, true]);
      device.complete(chain.head, 0);
      expect([device.publish(), driver.poll()]).toEqual([token === 0, token]);
    }
    expect(new ScriptedDevice(memory, layout).readAvailableIndex()).toBe(2);
    driver.reset();
    expect(new ScriptedDevice(memory, layout).readAvailableIndex()).toBe(0);
    expect(driver.poll()).toBeUndefined();
  });

  it.each([-1, 65_536, 0.5])("refuses %d", (startIndex) => {
    const memory = GuestMemory.allocate({ size: 65_536 });
    const layout = layoutAt(guestAddress(0x1000), SIZE);
    expect(() => new SplitDriverQueue({ memory, layout, eventIdx: false, startIndex })).toThrow(RangeError);
  });
});

describe("§2.4: after a reset", () => {
  it.each([false, true])("the rings ask for notifications, and the driver knows: EVENT_IDX %s", (eventIdx) => {
    const { driver, script } = scripted({ eventIdx });
    const asked = (): number => (eventIdx ? script.readUsedEvent() : script.readAvailableFlags());
    driver.suppressUsedNotifications();
    const suppressed = asked();
    driver.reset();
    expect([asked(), suppressed]).toEqual([0, eventIdx ? 65_535 : 1]);
    driver.suppressUsedNotifications();
    expect(asked()).toBe(suppressed);
  });
});
