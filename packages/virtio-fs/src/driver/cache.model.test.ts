/** The lookup counts, the name cache, the block cache and the transfers, each against a model. */
import { GuestMemory, guestAddress } from "@toril/memory";
import { Heap } from "@toril/memory/allocator";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryFileSystem } from "../device/index.ts";
import { ScriptedFuseDevice } from "../testing/scripted-fuse-device.ts";
import { TestMount } from "../testing/test-mount.ts";
import { createEntryOut, Opcode, setOpaque } from "../wire/index.ts";
import type { ByteString } from "./byte-string.ts";
import { BLOCK_SIZE, type Block, FileCache } from "./file-cache.ts";
import { NameCache } from "./names.ts";
import { Node, NodeTable } from "./nodes.ts";
import { pump } from "./pieces.ts";
import { ReadAhead } from "./read-ahead.ts";
import { createCounters } from "./stats.ts";

const DIRECTORY = 0o040755;
const FILE = 0o100644;

describe("lookup counts", () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant("enter" as const),
      id: fc.integer({ min: 2, max: 6 }),
      generation: fc.integer({ min: 0, max: 1 }),
    }),
    fc.record({ kind: fc.constant("release" as const), pick: fc.nat() }),
    fc.record({ kind: fc.constant("name" as const), pick: fc.nat(), name: fc.constantFrom("a", "b", "c", "d") }),
    fc.record({ kind: fc.constant("drop" as const), name: fc.constantFrom("a", "b", "c", "d") }),
  );

  test("what was entered is forgotten, exactly, once nothing needs it", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), (actions, limit) => {
        const entered = new Map<number, number>();
        const forgotten = new Map<number, number>();
        const table: NodeTable = new NodeTable({
          forget: (id, lookups) => forgotten.set(id.low, (forgotten.get(id.low) ?? 0) + lookups),
          onGone: (node) => names.dropChildren(node),
        });
        const names: NameCache = new NameCache(limit, () => table);
        const held: Node[] = [];
        for (const step of actions) {
          if (step.kind === "enter") {
            const entry = createEntryOut();
            setOpaque(entry.node, step.id);
            setOpaque(entry.generation, step.generation);
            entry.attr.mode = step.id === 2 ? DIRECTORY : FILE;
            const node = table.entered(entry);
            if (node === undefined) throw new Error("an entry without a node");
            entered.set(step.id, (entered.get(step.id) ?? 0) + 1);
            held.push(node);
          } else if (step.kind === "release" && held.length > 0) {
            const [node] = held.splice(step.pick % held.length, 1);
            if (node !== undefined) table.release(node);
          } else if (step.kind === "name" && held.length > 0) {
            const node = held[step.pick % held.length];
            names.put(table.root, step.name as ByteString, node, 1);
          } else if (step.kind === "drop") {
            names.drop(table.root, step.name as ByteString);
          }
          expect(names.size).toBeLessThanOrEqual(limit);
        }
        for (const node of held) table.release(node);
        for (const name of ["a", "b", "c", "d"]) names.drop(table.root, name as ByteString);
        expect(forgotten).toEqual(entered);
        expect(table.size).toBe(1);
      }),
      { numRuns: 500 },
    );
  });

  test("the root is nobody's child and never forgotten", () => {
    const table = new NodeTable({ forget: () => expect.unreachable(), onGone: () => expect.unreachable() });
    const entry = createEntryOut();
    setOpaque(entry.node, 1);
    expect(table.entered(entry)).toBeUndefined();
    table.hold(table.root);
    table.release(table.root);
    expect(table.root.gone).toBe(false);
  });
});

describe("the block cache", () => {
  const action = fc.record({
    kind: fc.constantFrom("reserve", "fill", "fail", "pin", "unpin", "drop", "touch"),
    file: fc.nat(2),
    index: fc.nat(3),
    pages: fc.integer({ min: 1, max: 16 }),
  });

  test("never above its limit, never frees what is lent, leaks nothing", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
        const memory = GuestMemory.allocate({ size: 2 ** 20 });
        const heap = new Heap({ memory, base: guestAddress(0), size: memory.size });
        const limit = 4 * BLOCK_SIZE;
        const cache = new FileCache(heap, limit, createCounters());
        const nodes = [2, 3, 4].map((low) => new Node({ low, high: 0 }, { low: 0, high: 0 }, FILE));
        const filling = new Set<Block>();
        const pinned: Block[] = [];
        for (const { kind, file, index, pages } of actions) {
          const node = nodes[file] as Node;
          const block = cache.find(node, index);
          if (kind === "reserve" && block === undefined) {
            const made = cache.reserve(node, index, pages * 4096);
            if (made !== undefined) filling.add(made);
          } else if ((kind === "fill" || kind === "fail") && filling.size > 0) {
            const [first] = filling;
            if (first === undefined) continue;
            filling.delete(first);
            cache.filled(first, kind === "fill" ? first.capacity : -5, true);
          } else if (kind === "pin" && block?.state === "ready") {
            block.buffer.lendToRead();
            pinned.push(block);
          } else if (kind === "unpin") {
            pinned.shift()?.buffer.giveBack();
          } else if (kind === "drop") {
            cache.dropFile(node);
          } else if (kind === "touch" && block !== undefined) {
            cache.touch(block);
          }
          expect(cache.bytes).toBeLessThanOrEqual(limit);
          for (const one of [...pinned, ...filling]) expect(one.buffer.state).not.toBe("freed");
        }
        for (const block of filling) cache.filled(block, 0, true);
        for (const block of pinned) block.buffer.giveBack();
        cache.clear();
        expect(heap.stats().bytesInUse).toBe(0);
        cache.shed(0);
        expect(cache.bytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe("transfers in pieces", () => {
  test("the count is that of the bytes before the first short piece, in whatever order pieces end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 0, max: 120 }),
        fc.option(fc.integer({ min: 0, max: 100 })),
        fc.array(fc.nat(5), { minLength: 1 }),
        async (total, size, end, failAt, delays) => {
          const covered = new Set<number>();
          let turn = 0;
          const result = await pump(total, size, 4, undefined, async (offset, length) => {
            for (let i = delays[turn++ % delays.length] ?? 0; i > 0; i--) await Promise.resolve();
            if (failAt !== null && offset <= failAt && failAt < offset + length) return -5;
            const count = Math.max(0, Math.min(length, end - offset));
            for (let i = 0; i < count; i++) covered.add(offset + i);
            return count;
          });
          const failing =
            failAt !== null && failAt < total ? Math.floor(failAt / size) * size : Number.POSITIVE_INFINITY;
          const expected = Math.min(total, end, failing);
          const failsFirst = failing === 0 && total > 0;
          expect(result).toBe(failsFirst ? -5 : expected);
          for (let i = 0; i < expected && !failsFirst; i++) expect(covered.has(i)).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("reading ahead", () => {
  test("a sequential reader is always ahead, in growing steps; a jump starts over", () => {
    const ahead = new ReadAhead(16);
    const plans: number[] = [];
    for (let block = 0; block < 40; block++) {
      ahead.read(block * BLOCK_SIZE, BLOCK_SIZE);
      const plan = ahead.plan(block);
      if (plan > 0) plans.push(plan);
    }
    expect(plans).toEqual([5, 9, 17, 17, 17, 17]);
    ahead.read(3 * BLOCK_SIZE, 10);
    expect(ahead.plan(3)).toBe(0);
  });
});

describe("concurrent calls on one file, answered in any order", () => {
  const SIZE = 4 * BLOCK_SIZE;
  const call = fc.record({
    kind: fc.constantFrom("write", "write", "read", "truncate"),
    at: fc.integer({ min: 0, max: 7 }),
    value: fc.integer({ min: 1, max: 255 }),
  });

  test("what a finished write has written is what later reads find, through every cache mode", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("none" as const, "auto" as const, "always" as const),
        fc.array(fc.array(call, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.boolean(), { minLength: 5, maxLength: 20 }),
        async (mode, rounds, holds) => {
          const fs = new MemoryFileSystem();
          fs.addFile("/f", new Uint8Array(SIZE));
          const device = new ScriptedFuseDevice(fs);
          const mount = await TestMount.start(device, { cache: { mode, bytes: 3 * BLOCK_SIZE } });
          const { calls } = mount;
          const file = await mount.run(calls.open("/f", { mode: "r+" }));
          const model = new Uint8Array(SIZE);
          let next = 0;
          const held: readonly number[] = [Opcode.Read, Opcode.Write, Opcode.Getattr, Opcode.Setattr];
          device.script = (request) =>
            held.includes(request.opcode) && holds[next++ % holds.length] ? "hold" : undefined;
          for (const round of rounds) {
            // Writes of one round touch different halves of blocks, so that their order does not matter.
            const taken = new Set<number>();
            const work = round.map(async ({ kind, at, value }) => {
              const position = at * (BLOCK_SIZE / 2);
              if (kind === "read") return calls.pread(file, new Uint8Array(BLOCK_SIZE), position);
              if (kind === "truncate") return calls.truncate(file, SIZE);
              if (taken.has(at)) return 0;
              taken.add(at);
              model.fill(value, position, position + 1000);
              return calls.pwrite(file, new Uint8Array(1000).fill(value), position);
            });
            const all = Promise.all(work);
            let over = false;
            all.finally(() => (over = true)).catch(() => undefined);
            while (!over) {
              await mount.idle();
              device.release();
            }
            await all;
            const found = new Uint8Array(SIZE);
            const whole = calls.pread(file, found, 0);
            over = false;
            whole.finally(() => (over = true)).catch(() => undefined);
            while (!over) {
              await mount.idle();
              device.release();
            }
            expect(await whole).toBe(SIZE);
            expect(Buffer.compare(found, model)).toBe(0);
          }
          await mount.run(calls.close(file));
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);
});
