import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import { SplitDeviceQueue } from "./device-queue.ts";
import { layoutAt } from "./queue-layout.ts";
import { DESCRIPTOR_WRITE, ScriptedDriver } from "./testing/index.ts";
import type { ViolationKind } from "./violation.ts";

const SIZE = 4;
const BUFFER = 0x8000;

function scripted({ eventIdx = false, startIndex = 0 }: { eventIdx?: boolean; startIndex?: number } = {}) {
  const memory = GuestMemory.allocate({ size: 65_536 });
  const layout = layoutAt(guestAddress(0x1000), SIZE);
  const script = new ScriptedDriver(memory, layout);
  for (let i = 0; i < SIZE; i++) script.describe(i, { address: BUFFER, length: 100, flags: DESCRIPTOR_WRITE });
  script.availableIndex = startIndex;
  script.usedIndex = startIndex;
  script.writeAvailableIndex(startIndex);
  const device = new SplitDeviceQueue({ memory, layout, eventIdx, indirect: true, startIndex });
  const chain = device.createChain();
  /** Takes all that is there, and returns the heads. */
  const takeAll = (): number[] => {
    const heads: number[] = [];
    while (device.next(chain)) heads.push(chain.head);
    return heads;
  };
  const finish = (...heads: readonly number[]): boolean => {
    for (const head of heads) device.complete(head, head);
    return device.publish();
  };
  return { memory, layout, device, script, chain, takeAll, finish };
}

describe("§2.7.8: returning chains", () => {
  it("goes in any order, each once, in batches", () => {
    const { device, script, takeAll, finish } = scripted();
    script.offer(3, 1, 0, 2);
    expect(takeAll()).toEqual([3, 1, 0, 2]);
    expect(device.outstanding).toBe(4);
    finish(0, 3);
    expect(script.takeUsed()).toEqual([
      { id: 0, length: 0 },
      { id: 3, length: 3 },
    ]);
    script.offer(0);
    expect(takeAll()).toEqual([0]);
    finish(2, 0, 1);
    expect(script.takeUsed().map(({ id }) => id)).toEqual([2, 0, 1]);
    expect([device.outstanding, device.violation]).toEqual([0, undefined]);
  });

  it("refuses a wrong completion: the device's own bug", () => {
    const { device, script, takeAll } = scripted();
    script.offer(1);
    takeAll();
    expect(() => device.complete(0, 0)).toThrow("chain 0 cannot be completed: it is not outstanding");
    expect(() => device.complete(-1, 0)).toThrow(RangeError);
    expect(() => device.complete(SIZE, 0)).toThrow(RangeError);
    expect(() => device.complete(1, 101)).toThrow("chain 1 cannot be completed with 101 bytes: 100 are writable");
    expect(() => device.complete(1, -1)).toThrow(RangeError);
    expect(() => device.complete(1, Number.NaN)).toThrow(RangeError);
    device.complete(1, 100);
    expect(() => device.complete(1, 0)).toThrow("not outstanding");
    device.publish();
    expect(script.takeUsed()).toEqual([{ id: 1, length: 100 }]);
  });

  it("publishes nothing when there is nothing new", () => {
    const { device, script } = scripted();
    expect(device.publish()).toBe(false);
    expect(script.readUsedIndex()).toBe(0);
  });
});

describe("§2.7.6: a hostile driver's available ring breaks the queue, and nothing else", () => {
  type Scripted = ReturnType<typeof scripted>;
  const hostile: readonly [what: string, kind: ViolationKind, section: string, run: (s: Scripted) => void][] = [
    [
      "idx ahead by more than the queue size",
      "avail-index-jump",
      "2.7.6.1",
      ({ script }) => script.writeAvailableIndex(5),
    ],
    ["idx one back", "avail-index-jump", "2.7.6.1", ({ script }) => script.writeAvailableIndex(65_535)],
    [
      "idx back after use",
      "avail-index-jump",
      "2.7.6.1",
      ({ script, takeAll, finish }) => {
        script.offer(0, 1);
        takeAll();
        finish(0, 1);
        script.writeAvailableIndex(1);
      },
    ],
    [
      "more chains than descriptors, counting those that are out",
      "avail-index-jump",
      "2.7.6.1",
      ({ script, takeAll }) => {
        script.offer(0, 1);
        takeAll();
        script.offer(2, 3, 2);
      },
    ],
    [
      "more chains than descriptors, counting those completed but not published",
      "avail-index-jump",
      "2.7.6.1",
      ({ device, script, takeAll }) => {
        script.offer(0, 1, 2, 3);
        takeAll();
        device.complete(0, 0);
        script.offer(0);
      },
    ],
    ["a head outside the table", "head-out-of-range", "2.7.6", ({ script }) => script.offer(SIZE)],
    ["a head of 65,535", "head-out-of-range", "2.7.6", ({ script }) => script.offer(65_535)],
    [
      "a head that is out already",
      "head-in-flight",
      "2.7.13",
      ({ script, takeAll }) => {
        script.offer(2);
        takeAll();
        script.offer(2);
      },
    ],
    [
      "a head twice in one batch",
      "head-in-flight",
      "2.7.13",
      ({ script, device, chain }) => {
        script.offer(2, 2);
        device.next(chain);
      },
    ],
  ];

  it.each(hostile)("%s: %s (§%s)", (_, kind, section, run) => {
    const s = scripted();
    run(s);
    const out = s.device.outstanding;
    expect(s.device.next(s.chain)).toBe(false);
    expect(s.device.violation).toMatchObject({ kind, section });
    s.script.offer(3);
    expect([s.device.next(s.chain), s.device.outstanding]).toEqual([false, out]);
    expect(s.device.armAvailableNotifications()).toBe(false);
  });

  it("chains taken before the violation can still be returned", () => {
    const { device, script, takeAll, finish } = scripted();
    script.offer(0, 99);
    expect(takeAll()).toEqual([0]);
    expect(device.violation?.kind).toBe("head-out-of-range");
    finish(0);
    expect(script.takeUsed()).toEqual([{ id: 0, length: 0 }]);
  });
});

describe("§2.7.10: available buffer notifications", () => {
  it("without EVENT_IDX: flags; arming looks once more", () => {
    const { device, script } = scripted();
    device.suppressAvailableNotifications();
    device.suppressAvailableNotifications();
    expect(script.readUsedFlags()).toBe(1);
    script.offer(0);
    expect(device.armAvailableNotifications()).toBe(true);
    expect(script.readUsedFlags()).toBe(0);
  });

  it("§2.7.10.2: with EVENT_IDX flags stay 0, and avail_event names the next entry", () => {
    const { device, script, takeAll } = scripted({ eventIdx: true });
    script.offer(0, 1);
    takeAll();
    expect(device.armAvailableNotifications()).toBe(false);
    expect([script.readUsedFlags(), script.readAvailEvent()]).toEqual([0, 2]);
    script.offer(2);
    expect(device.armAvailableNotifications()).toBe(true);
    device.suppressAvailableNotifications();
    // A whole round away: no entry that the driver writes soon is the named one.
    expect([script.readUsedFlags(), script.readAvailEvent()]).toEqual([0, 1]);
  });

  it("a passed event is left alone: it fires only after a whole round", () => {
    const { device, script, takeAll } = scripted({ eventIdx: true });
    device.armAvailableNotifications();
    script.offer(0);
    takeAll();
    device.suppressAvailableNotifications();
    expect(script.readAvailEvent()).toBe(0);
  });
});

describe("§2.7.7.2: used buffer notifications", () => {
  it("without EVENT_IDX: when bit 0 of flags is clear, used_event ignored", () => {
    const { script, takeAll, finish } = scripted();
    script.writeUsedEvent(77);
    script.offer(0, 1);
    takeAll();
    expect(finish(0)).toBe(true);
    script.writeFlags(1);
    expect(finish(1)).toBe(false);
  });

  it("with EVENT_IDX: when the named element was written, flags ignored", () => {
    const { script, takeAll, finish } = scripted({ eventIdx: true });
    script.writeFlags(1);
    script.writeUsedEvent(2);
    script.offer(0, 1, 2, 3);
    takeAll();
    expect(finish(0, 1)).toBe(false); // elements 0 and 1
    expect(finish(2)).toBe(true); // element 2
    expect(finish(3)).toBe(false);
  });
});

describe("startIndex: a queue that was in use before", () => {
  it("goes on where it stood, over the wrap", () => {
    const { device, script, takeAll, finish } = scripted({ startIndex: 65_534, eventIdx: true });
    script.writeUsedEvent(65_535);
    script.offer(0, 1, 2);
    expect(takeAll()).toEqual([0, 1, 2]);
    expect(finish(2, 1, 0)).toBe(true);
    expect(script.takeUsed().map(({ id }) => id)).toEqual([2, 1, 0]);
    expect([device.availableIndex, script.readUsedIndex()]).toEqual([1, 1]);
  });

  it.each([-1, 65_536, 0.5])("refuses %d", (startIndex) => {
    expect(() => scripted({ startIndex })).toThrow(RangeError);
  });
});
