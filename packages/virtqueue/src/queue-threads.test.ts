/** Driver and device on two threads over shared memory, both asleep whenever their queue lets them. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { GuestMemory, guestAddress } from "@toril/memory";
import { describe, expect, it } from "vitest";
import type { EchoWork } from "../test/echo-worker.ts";
import { SplitDriverQueue } from "./driver-queue.ts";
import { indirectTableBytes } from "./indirect-tables.ts";
import { layoutAt, queueBytes } from "./queue-layout.ts";
import { createBumpAllocator } from "./testing/index.ts";

const CHAINS = 40_000;
const SIZE = 16;
const SLOT = 64;
const READABLE = 24;

interface Outcome {
  readonly violation: unknown;
  readonly asleep: number;
  readonly interrupts: number;
  readonly wrong: number;
  readonly outstanding: number;
}

/** The driver's thread is this one: it may block, because nothing else runs here meanwhile. */
function drive(driver: SplitDriverQueue<number>, memory: GuestMemory, buffers: number, bells: Int32Array) {
  const back = new Uint8Array(CHAINS);
  const bytes = memory.bytes(guestAddress(buffers), SIZE * SLOT);
  const freeSlots = Array.from({ length: SIZE }, (_, slot) => slot);
  const slotOf = new Map<number, number>();
  let sent = 0;
  let returned = 0;
  let asleep = 0;
  let notifications = 0;
  let wrong = 0;
  const batchSize = (): number => 1 + ((sent * 7) % 5);

  while (returned < CHAINS && driver.violation === undefined) {
    const rung = Atomics.load(bells, 1);
    for (let left = batchSize(); left > 0 && sent < CHAINS; left--) {
      const slot = freeSlots.pop();
      if (slot === undefined) break;
      const segments = 2 + (sent % 3); // two readable at most, one or two writable
      if (!driver.beginChain(segments)) {
        freeSlots.push(slot);
        break;
      }
      const at = slot * SLOT;
      bytes.fill(sent & 0xff, at, at + READABLE);
      driver.addReadable(buffers + at, READABLE - 8);
      if (segments === 4) driver.addReadable(buffers + at + READABLE - 8, 8);
      driver.addWritable(buffers + at + 24, 20);
      if (segments >= 3) driver.addWritable(buffers + at + 44, 20);
      driver.endChain(sent);
      slotOf.set(sent, slot);
      sent++;
    }
    if (driver.publish()) {
      notifications++;
      Atomics.add(bells, 0, 1);
      Atomics.notify(bells, 0);
    }
    let worked = false;
    for (let token = driver.poll(); token !== undefined; token = driver.poll()) {
      worked = true;
      returned++;
      back[token] = (back[token] ?? 0) + 1;
      const slot = slotOf.get(token) ?? 0;
      const expected = token % 3 === 2 ? READABLE : READABLE - 8;
      if (driver.usedLength !== expected || bytes[slot * SLOT + 24 + expected - 1] !== ((token + 1) & 0xff)) wrong++;
      slotOf.delete(token);
      freeSlots.push(slot);
    }
    if (!worked && (freeSlots.length === 0 || driver.free === 0 || sent === CHAINS) && !driver.armUsedNotifications()) {
      asleep++;
      if (Atomics.wait(bells, 1, rung, 30_000) === "timed-out") break; // "for ever": a lost wake-up
      driver.suppressUsedNotifications();
    }
  }
  return { back, returned, asleep, notifications, wrong };
}

describe("§2.7.7, §2.7.10, §2.7.13: two threads, no lost wake-up, every token once", () => {
  const variants = [true, false].flatMap((eventIdx) => [
    { eventIdx, indirect: false, hold: 0 },
    { eventIdx, indirect: true, hold: 6 },
  ]);
  it.each(variants)("%o", { timeout: 120_000 }, async ({ eventIdx, indirect, hold }) => {
    const memory = GuestMemory.allocate({ size: 1 << 20, sharing: "shared" });
    const allocator = createBumpAllocator(memory, guestAddress(4096));
    const layout = layoutAt(allocator.allocateDma(queueBytes(SIZE))?.address ?? guestAddress(0), SIZE);
    const tables = allocator.allocateDma(indirectTableBytes(SIZE, 4));
    const buffers = allocator.allocateDma(SIZE * SLOT)?.address ?? guestAddress(0);
    if (tables === undefined || memory.wasm === undefined) throw new Error("no memory");
    const driver = new SplitDriverQueue<number>({
      memory,
      layout,
      eventIdx,
      ...(indirect ? { indirect: { tables, maxSegments: 4 } } : {}),
    });
    const bells = new Int32Array(new SharedArrayBuffer(12));
    const work: EchoWork = { wasm: memory.wasm, layout, eventIdx, bells, hold };
    const worker = new Worker(new URL("../test/echo-worker.ts", import.meta.url), { workerData: work });
    const outcome = once(worker, "message");
    await once(worker, "online");

    const { back, returned, asleep, notifications, wrong } = drive(driver, memory, buffers, bells);
    Atomics.store(bells, 2, 1);
    Atomics.add(bells, 0, 1);
    Atomics.notify(bells, 0);
    const [device] = (await outcome) as [Outcome];
    await worker.terminate();

    expect([driver.violation, device.violation]).toEqual([undefined, undefined]);
    expect([returned, wrong, device.wrong, device.outstanding]).toEqual([CHAINS, 0, 0, 0]);
    expect(back.every((times) => times === 1)).toBe(true);
    expect(driver.inFlight).toBe(0);
    // The test is about sleeping: it must have happened, and woken up.
    expect(asleep + device.asleep).toBeGreaterThan(0);
    expect(notifications + device.interrupts).toBeGreaterThan(0);
  });
});
