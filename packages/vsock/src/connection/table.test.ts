import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConnectionTable, type TableEntry } from "./table.ts";

const small = fc.integer({ min: 0, max: 6 });
const part = fc.oneof(small, fc.integer({ min: 0, max: 0xffff_ffff }));
const entry: fc.Arbitrary<TableEntry> = fc.record({ peerCid: part, peerPort: part, localPort: part });
const keyOf = (e: TableEntry): string => `${e.peerCid}:${e.peerPort}:${e.localPort}`;

describe("connections by (peer CID, peer port, local port)", () => {
  test("find, add, remove and used ports agree with a Map", () => {
    const steps = fc.array(fc.record({ what: fc.constantFrom("add", "remove"), entry }), { maxLength: 400 });
    fc.assert(
      fc.property(steps, (all) => {
        const table = new ConnectionTable<TableEntry>();
        const model = new Map<string, TableEntry>();
        for (const step of all) {
          const known = model.get(keyOf(step.entry));
          if (step.what === "add" && known === undefined) {
            table.add(step.entry);
            model.set(keyOf(step.entry), step.entry);
          } else if (step.what === "add") {
            expect(() => table.add(step.entry)).toThrow(RangeError);
          } else {
            expect(table.remove(known ?? step.entry)).toBe(known !== undefined);
            model.delete(keyOf(step.entry));
          }
          const { peerCid, peerPort, localPort } = step.entry;
          expect(table.find(peerCid, peerPort, localPort)).toBe(model.get(keyOf(step.entry)));
          expect(table.usesLocalPort(localPort)).toBe([...model.values()].some((e) => e.localPort === localPort));
        }
        expect(table.size).toBe(model.size);
        expect(new Set(table.all())).toEqual(new Set(model.values()));
      }),
    );
  });

  test("thousands are spread, whatever part of the key differs", () => {
    const table = new ConnectionTable<TableEntry>();
    for (let i = 0; i < 9000; i++) {
      const [peerCid = 0, peerPort = 0, localPort = 0] = [
        [2, 80, 49_152 + i],
        [2, 49_152 + i, 80],
        [3 + i, 1, 80],
      ][i % 3] ?? [0, 0, 0];
      table.add({ peerCid, peerPort, localPort });
    }
    expect(table.size).toBe(9000);
    expect(table.find(2, 80, 49_152 + 8997)).toBeDefined();
  });
});
