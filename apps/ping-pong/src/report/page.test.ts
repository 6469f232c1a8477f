import { describe, expect, test } from "vitest";
import { OUTCOME } from "../testing/outcome.ts";
import { reportPage } from "./page.ts";
import { logScale } from "./scale.ts";
import { spreadLabels } from "./svg.ts";

describe("the page", () => {
  const page = reportPage(OUTCOME);

  test("needs nothing else: no script, no address, no file", () => {
    expect(page).not.toMatch(/<script|<link|src=|href=|url\(|@import|https?:/);
  });

  test("what comes from outside is text in it", () => {
    expect(page).toContain("a processor &lt;of tests&gt;");
  });

  test("has a plot for each machine and mode, stages, copies, and names what is missing", () => {
    for (const title of [
      ...["Round trip, dedicated machine", "One way, dedicated machine", "Where a round trip of 64 B goes"],
      ...["Copies for a message of 64 KiB, one way"],
    ]) {
      expect(page).toContain(`aria-label="${title}"`);
    }
    expect(page).toContain("c-futex (there is no gcc to compile it with)");
  });

  test("every number in a drawing is one", () => {
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });

  test("nothing measured yet: a page all the same, which says that it is partial", () => {
    const none = { figures: [], counted: undefined };
    const cells = OUTCOME.cells.map((cell) => ({ ...cell, unread: none, read: none, stages: undefined }));
    const empty = reportPage({ ...OUTCOME, cells, completeness: "partial" });
    expect(empty).toContain("Partial:");
    expect(empty).not.toMatch(/NaN|Infinity|undefined/);
  });
});

test("a logarithmic axis has room for its values, and ticks at round numbers", () => {
  const y = logScale([0.3, 47], 100, 0);
  expect(y(0.3)).toBeLessThanOrEqual(100);
  expect(y(47)).toBeGreaterThanOrEqual(0);
  expect(y.ticks.map(({ value }) => Number(value.toPrecision(3)))).toEqual([0.2, 0.5, 1, 2, 5, 10, 20, 50]);
  expect(y(0.2)).toBeCloseTo(100);
  expect(y(50)).toBeCloseTo(0);
});

test("labels that would lie on one another are moved apart, inside the drawing, in order", () => {
  expect(spreadLabels([10, 11, 50], 5, 0, 100)).toEqual([10, 15, 50]);
  expect(spreadLabels([98, 99, 100], 5, 0, 100)).toEqual([90, 95, 100]);
  expect(spreadLabels([99, 98], 5, 0, 100)).toEqual([100, 95]);
});
