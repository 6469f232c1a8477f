import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PAGE_FREE_FIRST, PAGE_FREE_LAST, PAGE_INSIDE, PageRuns } from "./page-runs.ts";

const COUNT = 300;
/** A machine with two busy cores takes its time. */
const TIMEOUT_MS = 60_000;

/** The free runs as the marks tell them; fails when two touch, or a mark stands where none should. */
function freeRuns(runs: PageRuns): [first: number, length: number][] {
  const found: [number, number][] = [];
  for (let page = 0; page < runs.count; ) {
    const kind = runs.kinds[page];
    if (kind !== PAGE_FREE_FIRST) {
      if (kind !== PAGE_INSIDE) expect.unreachable(`page ${page} is marked ${kind}`);
      page++;
      continue;
    }
    const length = runs.lengths[page] ?? 0;
    const last = page + length - 1;
    const before = found.at(-1);
    if (runs.lengths[last] !== length) expect.unreachable(`the run at ${page} has two lengths`);
    if (length > 1 && runs.kinds[last] !== PAGE_FREE_LAST) expect.unreachable(`the run at ${page} has no end`);
    if (runs.kinds.subarray(page + 1, last).some((inside) => inside !== PAGE_INSIDE)) {
      expect.unreachable(`a page inside the run at ${page} is marked`);
    }
    if (before !== undefined && before[0] + before[1] === page) expect.unreachable(`two runs touch at ${page}`);
    found.push([page, length]);
    page += length;
  }
  return found;
}

const longest = (free: readonly [number, number][]): number => Math.max(0, ...free.map(([, length]) => length));

type Command =
  | { readonly do: "low" | "high"; readonly pages: number }
  | { readonly do: "aligned"; readonly pages: number; readonly alignment: number; readonly remainder: number }
  | { readonly do: "extend" | "release"; readonly pick: number; readonly pages: number };

/** The last ones share bins: 32 with 33, 64 with 65 to 67. */
const pages = fc.oneof(
  fc.integer({ min: 1, max: 8 }),
  fc.integer({ min: 1, max: 120 }),
  fc.constantFrom(31, 32, 33, 64, 65, 67),
);
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ do: fc.constantFrom("low" as const, "high" as const), pages }),
  fc.record({
    do: fc.constant("aligned" as const),
    pages,
    alignment: fc.constantFrom(2, 4, 16, 64),
    remainder: fc.nat(63),
  }),
  fc.record({ do: fc.constantFrom("extend" as const, "release" as const, "release" as const), pick: fc.nat(), pages }),
);

describe("page runs", () => {
  it("are taken whenever one is long enough, never overlap, and join when they come back", {
    timeout: TIMEOUT_MS,
  }, () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
        const runs = new PageRuns(COUNT);
        const taken: { first: number; pages: number }[] = [];
        for (const step of commands) {
          const free = freeRuns(runs);
          if (step.do === "release") {
            const [run] = taken.splice(step.pick % (taken.length || 1), 1);
            if (run !== undefined) runs.release(run.first, run.pages);
          } else if (step.do === "extend") {
            const run = taken[step.pick % (taken.length || 1)];
            if (run === undefined) continue;
            const end = run.first + run.pages;
            const possible = free.some(([first, length]) => first === end && length >= step.pages);
            expect(runs.takeAt(end, step.pages) === "taken").toBe(possible);
            if (possible) run.pages += step.pages;
          } else {
            let first: number;
            let possible: boolean;
            if (step.do === "aligned") {
              const { alignment } = step;
              const remainder = step.remainder % alignment;
              first = runs.takeAligned(step.pages, alignment, remainder);
              if (first >= 0) expect(first % alignment).toBe(remainder);
              possible = free.some(([start, length]) => {
                const skipped = (remainder - (start % alignment) + alignment) % alignment;
                return skipped + step.pages <= length;
              });
            } else {
              first = step.do === "low" ? runs.takeLow(step.pages) : runs.takeHigh(step.pages);
              possible = longest(free) >= step.pages;
            }
            expect(first >= 0).toBe(possible);
            if (first >= 0) taken.push({ first, pages: step.pages });
          }
          const owners = new Uint8Array(COUNT);
          for (const run of taken)
            for (let i = 0; i < run.pages; i++) owners[run.first + i] = (owners[run.first + i] ?? 0) + 1;
          const after = freeRuns(runs);
          for (const [first, length] of after)
            for (let i = 0; i < length; i++) owners[first + i] = (owners[first + i] ?? 0) + 1;
          expect(owners.every((owner) => owner === 1)).toBe(true);
          expect(runs.freeRuns).toBe(after.length);
          expect(runs.freePages).toBe(after.reduce((sum, [, length]) => sum + length, 0));
          expect(runs.longest()).toBe(longest(after));
        }
        for (const run of taken) runs.release(run.first, run.pages);
        expect(freeRuns(runs)).toEqual([[0, COUNT]]);
      }),
      { numRuns: 200 },
    );
  });

  it("of one page each join in every order in which they come back, also the first and the last of all", () => {
    const orders = [0, 1, 2, 3].flatMap((a) =>
      [0, 1, 2, 3].flatMap((b) => [0, 1, 2, 3].flatMap((c) => [[a, b, c, 6 - a - b - c]])),
    );
    for (const order of orders.filter((pages) => new Set(pages).size === 4)) {
      const runs = new PageRuns(4);
      for (const _ of order) runs.takeLow(1);
      expect(freeRuns(runs)).toEqual([]);
      for (const page of order) runs.release(page, 1);
      expect([order, freeRuns(runs), runs.freeRuns, runs.freePages]).toEqual([order, [[0, 4]], 1, 4]);
    }
  });

  it("that share a bin with longer ones are not taken for them", () => {
    const runs = new PageRuns(COUNT);
    runs.takeLow(64);
    runs.takeLow(1);
    runs.release(0, 64);
    expect(runs.takeLow(65)).toBe(65);
    expect(runs.takeLow(64)).toBe(0);
  });

  it("give small takers one end and large ones the other", () => {
    const runs = new PageRuns(COUNT);
    expect(runs.takeLow(1)).toBe(0);
    expect(runs.takeHigh(1)).toBe(COUNT - 1);
  });

  it("reach 2^20 pages: 4 GiB", () => {
    const runs = new PageRuns(2 ** 20);
    expect(runs.takeHigh(2 ** 20)).toBe(0);
    expect(runs.takeLow(1)).toBe(-1);
    runs.release(0, 2 ** 20);
    expect(runs.takeLow(2 ** 20 - 1)).toBe(0);
    expect(runs.takeAligned(1, 2 ** 19, 2 ** 19 - 1)).toBe(2 ** 20 - 1);
  });
});
