import { describe, expect, test } from "vitest";
import { jsonDocument } from "./document.ts";
import { OUTCOME } from "./testing/outcome.ts";

interface Entry {
  readonly [name: string]: unknown;
}
const document = JSON.parse(JSON.stringify(jsonDocument(OUTCOME))) as Entry & {
  readonly results: readonly Entry[];
  readonly peers: readonly Entry[];
};

describe("the JSON document", () => {
  test("says which computer it is from, which preset, and what is missing", () => {
    expect(document).toMatchObject({
      machine: OUTCOME.machine,
      preset: "default",
      partial: false,
      missing: [{ name: "c-futex", reason: "there is no gcc to compile it with" }],
    });
  });

  test("an entry for each machine, path, size and mode; figures are medians of the rounds", () => {
    expect(document.results).toHaveLength(4);
    expect(document.results[0]).toMatchObject({
      ...{ machine: "dedicated", tx: "two-copy", size: 64, mode: "rtt", receive: "copy" },
      ...{ p50Us: 4, p99Us: 8, p999Us: 12, mbPerS: 32, rounds: 3, messages: 297 },
      spread: { p50Us: [2, 8], mbPerS: [32, 32] },
      whenRead: { p50Us: 12, mbPerS: 16 },
    });
  });

  test("copies are per message: twice payload and header on the two-copy path; the rest are sums", () => {
    expect(document.results[0]).toMatchObject({
      copiedBytesPerMessage: { tx: 2 * (64 + 44), rx: 64 },
      copiedBytesPerMessageByStage: { userToPacket: 64, packetToRing: 64, header: 44, headerToRing: 44 },
      ...{ countedMessages: 300, notifications: 30, creditWaitUs: 600, wakeUps: 3, asleepUs: 150, spinMisses: 3 },
      packets: { tx: 300, rx: 303 },
    });
  });

  test("peers by name; those that did not run are no entries", () => {
    expect(document.peers.map(({ name, size, mode }) => [name, size, mode])).toEqual([
      ["node-unix", 64, "rtt"],
      ["c-spin", 64, "rtt"],
      ["node-unix", 65_536, "bulk"],
    ]);
    expect(document.peers[0]).toMatchObject({ p50Us: 33, p99Us: 66, p999Us: 99, mbPerS: 4 });
  });

  test("what was not measured has no entry, and a partial outcome says so", () => {
    const none = { figures: [], counted: undefined };
    const cells = OUTCOME.cells.map((cell, i) => (i % 2 === 0 ? cell : { ...cell, unread: none }));
    const partial = jsonDocument({ ...OUTCOME, cells, completeness: "partial" });
    expect(partial).toMatchObject({ partial: true });
    expect((partial as { results: unknown[] }).results).toHaveLength(2);
  });
});
