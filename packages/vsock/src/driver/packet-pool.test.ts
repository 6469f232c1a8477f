import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import { expect, test } from "vitest";
import type { PacketBuffer } from "./packet.ts";
import { PacketPool } from "./packet-pool.ts";

/** A small buffer with its header takes 4 KiB, a large one 64 KiB and its header. */
const SMALL = 4000;
const LARGE = 65_536;

function rig(limit: number): { pool: PacketPool; heap: Heap } {
  const memory = GuestMemory.allocate({ size: 1_048_576 });
  const heap = new Heap({ memory, base: guestAddress(4096), size: memory.size - 4096 });
  return { pool: new PacketPool(heap, limit), heap };
}

function takeAll(pool: PacketPool, payload: number): PacketBuffer[] {
  const taken: PacketBuffer[] = [];
  for (let buffer = pool.take(payload); buffer !== undefined; buffer = pool.take(payload)) taken.push(buffer);
  return taken;
}

test("what is available can be taken, and not one more", () => {
  const { pool } = rig(40_960);
  expect(pool.available).toBe(10);
  expect(takeAll(pool, SMALL)).toHaveLength(10);
  expect([pool.available, pool.out]).toEqual([0, 10]);
});

test("large buffers that lie idle make room for small ones: a thousand heads had to share a few large ones", () => {
  const { pool } = rig(4 * 69_632);
  for (const buffer of takeAll(pool, LARGE)) pool.put(buffer);
  expect(takeAll(pool, SMALL)).toHaveLength((4 * 69_632) / 4096);
});

test("and small ones for large ones: after a burst of small packets all were small for ever", () => {
  const { pool } = rig(4 * 69_632);
  for (const buffer of takeAll(pool, SMALL)) pool.put(buffer);
  const large = pool.take(LARGE);
  expect(large?.capacity).toBe(LARGE);
});

test("a limit below one buffer still allows one", () => {
  const { pool } = rig(1);
  expect(pool.available).toBe(1);
  expect(takeAll(pool, LARGE)).toHaveLength(1);
});

test("closed, it has given everything back", () => {
  const { pool, heap } = rig(200_000);
  const before = heap.stats().bytesInUse;
  const taken = [...takeAll(pool, LARGE), ...takeAll(pool, SMALL)];
  pool.close();
  for (const buffer of taken) pool.put(buffer);
  expect(heap.stats().bytesInUse).toBe(before);
});

test("a heap in pieces: nothing is freed for a large buffer that cannot be had", () => {
  const { pool, heap } = rig(20 * 4096);
  const small: PacketBuffer[] = [];
  const takeOne = (): number => small.push(pool.take(SMALL) ?? raise("the pool is empty"));
  for (let i = 0; i < 20; i++) {
    takeOne();
    heap.allocateDma(4096, 64); // keeps two of them apart
  }
  const hog = (): void => {
    while (heap.allocateDma(4096, 64) !== undefined);
  };
  hog();
  for (const buffer of small) pool.put(buffer);
  expect(pool.offer(LARGE)).toBe(4032);
  expect(pool.take(LARGE)?.capacity).toBe(4032);
  hog();
  expect(takeAll(pool, SMALL)).toHaveLength(19);
});

function raise(message: string): never {
  throw new Error(message);
}
