/**
 * What every pair of a driver's and a device's queue must do, whatever ring lies between them, as cases for any test
 * runner: `for (const { title, run } of queuePairCompliance(create)) it(title, run)`. Only the two faces are used
 * (queue.ts), so a packed ring, a queue with a tap on it, or one of yours can be put in the place of the split ring.
 */
import { addressAt, type GuestAddress, type GuestMemory } from "@toril/memory";
import type { Chain, DeviceQueue, DriverQueue } from "../queue.ts";

export interface QueuePairUnderTest {
  readonly memory: GuestMemory;
  readonly driver: DriverQueue<number>;
  readonly device: DeviceQueue;
  /** From here on 256 KiB are free for buffers. */
  readonly buffers: GuestAddress;
  /** Another device's queue over the same memory, after a reset: as the next driver's device would have it. */
  freshDevice(): DeviceQueue;
}

export interface QueuePairCase {
  readonly title: string;
  /** Throws an Error that says what was wrong. */
  run(): void;
}

type Body = (pair: QueuePairUnderTest) => void;

/** Longer than any ring wraps. */
const MANY = 70_000;
/** Bytes between two buffers of a case. */
const STRIDE = 4_096;

/** @param create a fresh pair with a ring of `size` entries, a power of two from 4 on */
export function queuePairCompliance(create: (size: number) => QueuePairUnderTest): readonly QueuePairCase[] {
  const one = (title: string, size: number, body: Body): QueuePairCase => ({ title, run: () => body(create(size)) });
  return [
    one("§2.7 a fresh pair has room for all, and nothing in flight", 8, ({ driver, device }) => {
      equal([driver.size, driver.free, driver.inFlight], [8, 8, 0], "size, free and in flight");
      equal([device.size, device.outstanding], [8, 0], "the device's size and what it has");
      equal([driver.poll(), device.next(device.createChain())], [undefined, false], "what there is");
    }),
    one("§2.7.13 nothing is seen before it is published, and then all of it, in order", 8, (pair) => {
      const { driver, device } = pair;
      for (const token of [1, 2, 3]) offer(pair, token, [10 + token], []);
      const chain = device.createChain();
      equal(device.next(chain), false, "a chain before publish");
      driver.publish();
      const lengths = [1, 2, 3].map(() => (device.next(chain) ? chain.readableBytes : -1));
      equal(lengths, [11, 12, 13], "readable bytes in order");
      equal([device.next(chain), device.outstanding, driver.inFlight], [false, 3, 3], "what is left");
    }),
    one(
      "§2.7.4 a chain shows its buffers: readable ones first, addresses and lengths as they were given",
      8,
      (pair) => {
        const { driver, device } = pair;
        offer(pair, 7, [1, 500], [3, 4_000]);
        driver.publish();
        const chain = device.createChain();
        equal(device.next(chain), true, "a chain");
        equal(
          [chain.count, chain.readableCount, chain.readableBytes, chain.writableBytes],
          [4, 2, 501, 4_003],
          "shape",
        );
        equal(
          [0, 1, 2, 3].map((i) => chain.length(i)),
          [1, 500, 3, 4_000],
          "lengths",
        );
        equal(
          [0, 1, 2, 3].map((i) => chain.address(i)),
          [0, 1, 2, 3].map((i) => place(pair, i)),
          "addresses",
        );
      },
    ),
    one("§2.7.8 bytes cross both ways, over the edges of segments", 8, (pair) => {
      const { driver, device, memory } = pair;
      memory.write(place(pair, 0), Uint8Array.of(1, 2, 3));
      memory.write(place(pair, 1), Uint8Array.of(4, 5));
      offer(pair, 1, [3, 2], [2, 3]);
      driver.publish();
      const chain = taken(device);
      const read = new Uint8Array(5);
      equal([chain.read(0, read), ...read], [5, 1, 2, 3, 4, 5], "what the device reads");
      equal(chain.write(0, Uint8Array.of(9, 8, 7, 6)), 4, "what the device writes");
      device.complete(chain.head, 4);
      device.publish();
      equal([driver.poll(), driver.usedLength], [1, 4], "what comes back");
      equal([...memory.bytes(place(pair, 2), 2), ...memory.bytes(place(pair, 3), 2)], [9, 8, 7, 6], "bytes written");
    }),
    one("§2.7.8 nothing comes back before the device publishes it, and then each token once", 8, (pair) => {
      const { driver, device } = pair;
      offer(pair, 5, [1], []);
      driver.publish();
      const chain = taken(device);
      device.complete(chain.head, 0);
      equal(driver.poll(), undefined, "a token before publish");
      device.publish();
      equal([driver.poll(), driver.poll(), driver.free, driver.inFlight], [5, undefined, 8, 0], "the token, once");
    }),
    one("§2.7.8 chains come back in any order", 8, (pair) => {
      const { driver, device } = pair;
      for (const token of [0, 1, 2, 3]) offer(pair, token, [1], []);
      driver.publish();
      const heads = [0, 1, 2, 3].map(() => taken(device).head);
      for (const i of [2, 0, 3, 1]) device.complete(heads[i] ?? -1, 0);
      device.publish();
      equal([driver.poll(), driver.poll(), driver.poll(), driver.poll()], [2, 0, 3, 1], "tokens");
    }),
    one("§2.7.13 a full ring takes nothing, changes nothing, and goes on when something has come back", 4, (pair) => {
      const { driver, device } = pair;
      let token = 0;
      while (driver.lendReadable(place(pair, 0), 8, token)) token++;
      equal([token > 0 && token <= 4, driver.inFlight], [true, token], "chains that fit");
      equal(driver.beginChain(1), false, "room in a full ring");
      driver.publish();
      device.complete(taken(device).head, 0);
      device.publish();
      equal([driver.poll(), driver.lendReadable(place(pair, 0), 8, 99)], [0, true], "room again");
    }),
    one("§2.7.13 lending in one call is a chain like any other", 8, (pair) => {
      const { driver, device } = pair;
      equal(driver.lendReadable(place(pair, 0), 100, 1), true, "lent to read");
      equal(driver.lendWritable(place(pair, 1), 200, 2), true, "lent to write");
      driver.publish();
      const first = taken(device);
      equal([first.count, first.readableBytes, first.writableBytes], [1, 100, 0], "the first");
      const second = taken(device);
      equal([second.count, second.readableBytes, second.writableBytes], [1, 0, 200], "the second");
    }),
    one("§2.7.7 whoever has armed is told, whoever has looked once more cannot miss it", 8, (pair) => {
      const { driver, device } = pair;
      equal(device.armAvailableNotifications(), false, "chains for a device that arms at rest");
      offer(pair, 1, [1], []);
      equal(driver.publish(), true, "notification for a device that has armed");
      equal(device.armAvailableNotifications(), true, "chains for a device that arms too late");
      const chain = taken(device);
      equal(driver.armUsedNotifications(), false, "used chains for a driver that arms at rest");
      device.complete(chain.head, 0);
      equal(device.publish(), true, "interrupt for a driver that has armed");
      equal(driver.armUsedNotifications(), true, "used chains for a driver that arms too late");
    }),
    one("§2.7.10 a side that has armed is told once it has something, for as long as rings go around", 4, (pair) => {
      const { driver, device } = pair;
      const chain = device.createChain();
      for (let i = 0; i < MANY; i++) {
        if (device.armAvailableNotifications()) fail(`chains before chain ${i}`);
        if (!driver.lendReadable(place(pair, 0), 1, i)) fail(`no room for chain ${i}`);
        if (!driver.publish()) fail(`the device was not told of chain ${i}`);
        if (!device.next(chain)) fail(`chain ${i} did not come`);
        if (driver.armUsedNotifications()) fail(`used chains before chain ${i}`);
        device.complete(chain.head, 0);
        if (!device.publish()) fail(`the driver was not told of chain ${i}`);
        if (driver.poll() !== i) fail(`chain ${i} did not come back`);
      }
      equal([driver.free, driver.inFlight, device.outstanding], [4, 0, 0], "what is left after all");
    }),
    one("§2.7 the device's own bugs are told where they are made", 8, (pair) => {
      const { driver, device } = pair;
      offer(pair, 1, [], [10]);
      driver.publish();
      const chain = taken(device);
      throws(() => device.complete(chain.head, 11), "more written than was writable");
      device.complete(chain.head, 10);
      throws(() => device.complete(chain.head, 10), "a chain returned twice");
    }),
    one("§2.7 the driver's own bugs are told where they are made", 8, ({ driver }) => {
      throws(() => driver.beginChain(0), "a chain of no buffers");
      throws(() => driver.beginChain(10_000), "a chain longer than the ring");
    }),
    one("§2.4.1 a reset returns what was in flight, once, and both start anew", 8, (pair) => {
      const { driver, device } = pair;
      for (const token of [4, 5, 6]) offer(pair, token, [1], [1]);
      driver.publish();
      device.complete(taken(device).head, 1);
      device.publish();
      equal(driver.poll(), 4, "what came back before");
      equal(driver.reset().sort(), [5, 6], "what was in flight");
      equal([driver.free, driver.inFlight, driver.poll(), driver.reset().length], [8, 0, undefined, 0], "after it");
      const fresh = pair.freshDevice();
      equal(fresh.next(fresh.createChain()), false, "chains for the next device");
      offer(pair, 9, [2], []);
      driver.publish();
      const chain = taken(fresh);
      equal(chain.readableBytes, 2, "bytes of the first chain after the reset");
      fresh.complete(chain.head, 0);
      fresh.publish();
      equal(driver.poll(), 9, "its token");
    }),
  ];
}

/** The buffer of segment `i`. */
function place({ buffers }: QueuePairUnderTest, i: number): GuestAddress {
  return addressAt(buffers, i * STRIDE);
}

/** Ends a chain of buffers of these lengths. */
function offer(
  pair: QueuePairUnderTest,
  token: number,
  readable: readonly number[],
  writable: readonly number[],
): void {
  const { driver } = pair;
  if (!driver.beginChain(readable.length + writable.length)) fail(`no room for chain ${token}`);
  readable.forEach((length, i) => {
    driver.addReadable(place(pair, i), length);
  });
  writable.forEach((length, i) => {
    driver.addWritable(place(pair, readable.length + i), length);
  });
  driver.endChain(token);
}

function taken(device: DeviceQueue): Chain {
  const chain = device.createChain();
  if (!device.next(chain)) fail("the device finds no chain where one was published");
  return chain;
}

function equal(found: unknown, expected: unknown, what: string): void {
  const [a, b] = [found, expected].map((value) =>
    JSON.stringify(value, (_, part) => (part === undefined ? "none" : part)),
  );
  if (a !== b) fail(`${what}: ${a}, not ${b}`);
}

function throws(call: () => void, what: string): void {
  try {
    call();
  } catch {
    return;
  }
  fail(`${what} is not told`);
}

function fail(message: string): never {
  throw new Error(message);
}
