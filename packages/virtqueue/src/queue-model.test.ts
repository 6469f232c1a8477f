/**
 * A driver's and a device's queue against a plain model: any chain shapes, batches, out-of-order completion, with and
 * without EVENT_IDX and indirect descriptors, one region or two, on both sides of the 16-bit wrap.
 */
import { GuestMemory, guestAddress } from "@toril/memory";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Chain } from "./queue.ts";
import { createQueuePair } from "./testing/index.ts";

const SIZE = 8;
const MAX_SEGMENTS = 4;
/** Two regions, the second above 4 GiB; buffers come from both. */
const SECOND = 0x1_2345_0000;

interface Shape {
  readonly readable: readonly number[];
  readonly writable: readonly number[];
}

interface Lent {
  readonly token: number;
  readonly segments: readonly (readonly [address: number, length: number])[];
  readonly readableCount: number;
  readonly writableBytes: number;
  readonly descriptors: number;
}

const lengths = fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: MAX_SEGMENTS });
const shape: fc.Arbitrary<Shape> = fc
  .record({ readable: lengths, writable: lengths })
  .filter(({ readable, writable }) => readable.length + writable.length > 0);

const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("add" as const), shape }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("publish" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("take" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("complete" as const),
      pick: fc.nat(),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("publishUsed" as const) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("poll" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("armUsed" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("suppressUsed" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("armAvailable" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("suppressAvailable" as const) }) },
);

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

interface Variant {
  readonly eventIdx: boolean;
  readonly indirectSegments?: number;
  /** Chains sent through before, to bring the indices near their wrap. */
  readonly lead: number;
}

class Model {
  readonly ended: Lent[] = [];
  readonly published: Lent[] = [];
  readonly taken: { readonly lent: Lent; readonly chain: Chain }[] = [];
  readonly completed: { readonly lent: Lent; readonly written: number }[] = [];
  readonly used: { readonly lent: Lent; readonly written: number }[] = [];
  /** What each side asked for, and whether what it waits for has happened since. */
  usedArmed = true;
  availableArmed = true;

  get inFlight(): number {
    return this.ended.length + this.published.length + this.taken.length + this.completed.length + this.used.length;
  }

  get descriptors(): number {
    const lents = [
      this.ended,
      this.published,
      this.taken.map((t) => t.lent),
      this.completed.map((c) => c.lent),
      this.used.map((u) => u.lent),
    ];
    return lents.flat().reduce((sum, { descriptors }) => sum + descriptors, 0);
  }
}

function makePair({ eventIdx, indirectSegments }: Variant) {
  const memory = GuestMemory.map([
    { base: guestAddress(0), buffer: new ArrayBuffer(65_536) },
    { base: guestAddress(SECOND), buffer: new ArrayBuffer(65_536) },
  ]);
  return createQueuePair<number>({
    size: SIZE,
    eventIdx,
    memory,
    ...(indirectSegments === undefined ? {} : { indirectSegments }),
  });
}

function run(variant: Variant, commands: readonly Command[]): void {
  const { driver, device } = makePair(variant);
  const model = new Model();
  let tokens = 0;

  const add = ({ readable, writable }: Shape): void => {
    const count = readable.length + writable.length;
    const indirect = variant.indirectSegments !== undefined && count > 1 && count <= variant.indirectSegments;
    const descriptors = indirect ? 1 : count;
    const room = model.descriptors + descriptors <= SIZE;
    expect(driver.beginChain(count)).toBe(room);
    if (!room) return;
    const segments = [...readable, ...writable].map((length, i): readonly [number, number] => [
      (i % 2 === 0 ? SECOND : 0x8000) + ((tokens * 64 + i) % 4096),
      length,
    ]);
    segments.forEach(([address, length], i) => {
      if (i < readable.length) driver.addReadable(address, length);
      else driver.addWritable(address, length);
    });
    const writableBytes = writable.reduce((sum, length) => sum + length, 0);
    const token = tokens++;
    driver.endChain(token);
    model.ended.push({ token, segments, readableCount: readable.length, writableBytes, descriptors });
  };

  const publish = (): void => {
    const fresh = model.ended.length > 0;
    const asked = driver.publish();
    if (fresh) expect(asked).toBe(model.availableArmed);
    else expect(asked).toBe(false);
    // An EVENT_IDX event fires once; flags stay as they are.
    if (fresh && variant.eventIdx) model.availableArmed = false;
    model.published.push(...model.ended.splice(0));
  };

  const take = (): void => {
    const chain = device.createChain();
    const lent = model.published.shift();
    expect(device.next(chain)).toBe(lent !== undefined);
    if (lent === undefined) return;
    expect([chain.count, chain.readableCount, chain.writableBytes]).toEqual([
      lent.segments.length,
      lent.readableCount,
      lent.writableBytes,
    ]);
    expect(Array.from({ length: chain.count }, (_, i) => [chain.address(i), chain.length(i)])).toEqual(lent.segments);
    model.taken.push({ lent, chain });
  };

  const complete = (pick: number, share: number): void => {
    const [taken] = model.taken.splice(model.taken.length === 0 ? 0 : pick % model.taken.length, 1);
    if (taken === undefined) return;
    const written = Math.floor(taken.lent.writableBytes * share);
    device.complete(taken.chain.head, written);
    model.completed.push({ lent: taken.lent, written });
  };

  const publishUsed = (): void => {
    const fresh = model.completed.length > 0;
    const asked = device.publish();
    if (fresh) expect(asked).toBe(model.usedArmed);
    else expect(asked).toBe(false);
    if (fresh && variant.eventIdx) model.usedArmed = false;
    model.used.push(...model.completed.splice(0));
  };

  const poll = (): void => {
    const expected = model.used.shift();
    expect(driver.poll()).toBe(expected?.lent.token);
    if (expected !== undefined) expect(driver.usedLength).toBe(expected.written);
  };

  const check = (): void => {
    expect([driver.violation, device.violation]).toEqual([undefined, undefined]);
    expect(driver.inFlight).toBe(model.inFlight);
    expect(driver.free).toBe(SIZE - model.descriptors);
    expect(device.outstanding).toBe(model.taken.length);
  };

  for (let i = 0; i < variant.lead; i++) {
    driver.beginChain(1);
    driver.addReadable(0x8000, 1);
    driver.endChain(-1);
    driver.publish();
    const chain = leadChain(device);
    device.next(chain);
    device.complete(chain.head, 0);
    device.publish();
    if (driver.poll() !== -1) throw new Error("the lead was lost");
  }
  driver.armUsedNotifications();
  device.armAvailableNotifications();

  for (const each of commands) {
    switch (each.kind) {
      case "add":
        add(each.shape);
        break;
      case "publish":
        publish();
        break;
      case "take":
        take();
        break;
      case "complete":
        complete(each.pick, each.share);
        break;
      case "publishUsed":
        publishUsed();
        break;
      case "poll":
        poll();
        break;
      case "armUsed":
        expect(driver.armUsedNotifications()).toBe(model.used.length > 0);
        // Armed at an element that is there already, an event can't fire for later ones.
        model.usedArmed = !variant.eventIdx || model.used.length === 0;
        break;
      case "suppressUsed":
        driver.suppressUsedNotifications();
        model.usedArmed = false;
        break;
      case "armAvailable":
        expect(device.armAvailableNotifications()).toBe(model.published.length > 0);
        model.availableArmed = !variant.eventIdx || model.published.length === 0;
        break;
      case "suppressAvailable":
        device.suppressAvailableNotifications();
        model.availableArmed = false;
        break;
      default:
        throw new Error(`unknown command ${JSON.stringify(each satisfies never)}`);
    }
    check();
  }

  // Nothing is lost: all that is under way comes back.
  publish();
  while (model.published.length > 0) take();
  while (model.taken.length > 0) complete(model.taken.length, 1);
  publishUsed();
  while (model.used.length > 0) poll();
  check();
  expect([driver.free, driver.inFlight, driver.poll()]).toEqual([SIZE, 0, undefined]);
}

const leadChains = new WeakMap<object, Chain>();

function leadChain(device: { createChain(): Chain }): Chain {
  const chain = leadChains.get(device) ?? device.createChain();
  leadChains.set(device, chain);
  return chain;
}

describe("§2.7: a driver and a device agree with a plain model of a queue", { timeout: 60_000 }, () => {
  const variants: Variant[] = [false, true].flatMap((eventIdx) =>
    [0, 65_530].flatMap((lead) => [
      { eventIdx, lead },
      { eventIdx, lead, indirectSegments: MAX_SEGMENTS },
    ]),
  );
  it.each(variants)("%o", (variant) => {
    const size = { minLength: 1, maxLength: 120 };
    fc.assert(
      fc.property(fc.array(command, size), (commands) => run(variant, commands)),
      { numRuns: variant.lead > 0 ? 10 : 60 },
    );
  });
});
