import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PacketHeader } from "../wire/header.ts";
import { Op } from "../wire/ops.ts";
import { EphemeralPorts } from "./ephemeral-ports.ts";
import { MAX_OWED_RESETS, OwedResets } from "./owed-resets.ts";
import { Turns } from "./turns.ts";

describe("connections take turns", () => {
  test("first come first served, each once at a time, in two lists apart, as a model says", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.constantFrom(0, 1), fc.boolean())), (steps) => {
        const members = Array.from({ length: 41 }, (_, id) => ({ id, turns: 0 }));
        const lists = [new Turns<{ id: number; turns: number }>(1), new Turns<{ id: number; turns: number }>(2)];
        const models: number[][] = [[], []];
        for (const [id, which, add] of steps) {
          const list = lists[which];
          const model = models[which];
          const member = members[id];
          if (list === undefined || model === undefined || member === undefined) continue;
          if (add) {
            list.add(member);
            if (!model.includes(id)) model.push(id);
          } else {
            expect(list.next()?.id).toBe(model.shift());
          }
          expect(list.length).toBe(model.length);
        }
      }),
    );
  });
});

describe("§5.10.6.1 RSTs owed to strangers", () => {
  const packet = (fields: Partial<PacketHeader>): PacketHeader => Object.assign(new PacketHeader(), fields);

  test("go back to where the packet came from, with its type; an RST is owed none", () => {
    const owed = new OwedResets();
    expect(owed.add(packet({ op: Op.Rst, srcPort: 1 }))).toBe(false);
    owed.add(packet({ op: Op.Rw, srcCid: 9, srcPort: 0xffff_fffe, dstPort: 80, type: 7, len: 5 }));
    const header = packet({ len: 99, flags: 3, bufAlloc: 5, fwdCnt: 6 });
    expect(owed.take(header)).toBe(true);
    expect(header).toMatchObject({ op: Op.Rst, dstCid: 9, dstPort: 0xffff_fffe, srcPort: 80, type: 7 });
    expect(header).toMatchObject({ len: 0, flags: 0, bufAlloc: 0, fwdCnt: 0 });
    expect(owed.take(header)).toBe(false);
  });

  test("are bounded, and in order round the ring", () => {
    const owed = new OwedResets();
    const header = new PacketHeader();
    let next = 0;
    let expected = 0;
    for (let round = 0; round < 5; round++) {
      while (owed.add(packet({ op: Op.Rw, srcPort: next }))) next++;
      expect([owed.full, owed.length]).toEqual([true, MAX_OWED_RESETS]);
      for (let i = 0; i < 40; i++) {
        owed.take(header);
        expect(header.dstPort).toBe(expected++);
      }
    }
  });
});

describe("ephemeral ports", () => {
  test("each in turn, skipping those in use; the one used longest ago comes first", () => {
    const ports = new EphemeralPorts({ first: 10, last: 13 });
    const inUse = new Set([11]);
    const take = (): number | undefined => ports.take((port) => inUse.has(port));
    expect([take(), take(), take(), take()]).toEqual([10, 12, 13, 10]);
    for (const port of [10, 12, 13]) inUse.add(port);
    expect(take()).toBeUndefined();
    inUse.delete(11);
    expect(take()).toBe(11);
  });

  test("a range that is none throws", () => {
    expect(() => new EphemeralPorts({ first: 5, last: 4 })).toThrow(RangeError);
    expect(() => new EphemeralPorts({ first: -1, last: 4 })).toThrow(RangeError);
  });
});
