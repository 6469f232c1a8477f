import { expect, it } from "vitest";
import { experimentPage } from "../report/experiment-page.ts";
import { experimentDocument } from "./document.ts";
import { ExtraCopies } from "./extra-copies.ts";
import type { ExperimentCell, ExperimentOutcome } from "./outcome.ts";
import { STEPS } from "./steps.ts";
import { formatExperiment } from "./table.ts";

const TX = ["two-copy", "one-copy"] as const;

/** Round trips take twice as long on two-copy; a page three times, but only at the first step. */
function outcome(completeness: ExperimentOutcome["completeness"] = "complete"): ExperimentOutcome {
  const cells = STEPS.flatMap((step, i) =>
    TX.flatMap((tx, path): ExperimentCell[] => {
      const us = path === 0 ? 200 : 100;
      const figures = [{ p50: us, p99: us * 2, p999: us * 3, mbPerS: 1, messages: 10 }];
      const sums = { creditWaits: 80, creditWaitMs: 10, wakeUps: 120, asleepMs: 90, copiedBytes: 1_330_000 };
      return [
        { kind: "rtt", step, tx, size: 8192, figures, counted: undefined },
        { kind: "page", step, tx, msPerPage: [i === 0 && path === 0 ? 3 : 1], sums, pages: 10 },
      ];
    }),
  );
  return {
    ...{ machine: "a machine", cells, steps: STEPS, sizes: [8192], rounds: 1, elapsedMs: 1000, cpus: [0, 1] },
    completeness,
  };
}

it("each step changes one thing, and only toward today's machines", () => {
  const shape = STEPS.map(({ tuning, receive }) => ({
    window: tuning.driver?.bufAlloc ?? "default",
    deviceWindow: tuning.device?.bufAlloc ?? "default",
    credit: tuning.driver?.creditUpdates ?? "half-window",
    idling: tuning.idling ?? "adaptive",
    receive,
  }));
  const changes = shape.slice(1).map((step, i) => {
    const before: Record<string, unknown> = { ...shape[i] };
    return Object.entries(step)
      .filter(([name, value]) => before[name] !== value)
      .map(([name]) => name);
  });
  expect(changes).toEqual([["window", "deviceWindow"], ["credit"], ["idling"], ["receive"], ["receive"]]);
  expect(shape.at(-1)).toMatchObject({
    window: "default",
    credit: "half-window",
    idling: "adaptive",
    receive: "borrow",
  });
});

it("the table says how many times as long two copies take as one", () => {
  const lines = formatExperiment(outcome()).split("\n");
  const ratios = lines.filter((line) => line.trim().startsWith("two/one  ")).map((line) => line.trim().split(/\s+/));
  expect(ratios).toHaveLength(STEPS.length);
  expect(ratios[0]).toEqual(["two/one", "2.000×", "3.000×"]);
  expect(ratios[1]).toEqual(["two/one", "2.000×", "1.000×"]);
  expect(
    lines
      .find((line) => line.startsWith("as in 2023  "))
      ?.trim()
      .split(/\s+/),
  ).toEqual("as in 2023 two-copy 200 3.00 333 8.00 1.00 12.0 9.00 ms 133000".split(" "));
  expect(formatExperiment(outcome("partial"))).toContain("PARTIAL");
});

it("the document has an entry for each step, path and load", () => {
  const { results, preset, partial } = experimentDocument(outcome()) as {
    results: object[];
    preset: string;
    partial: boolean;
  };
  expect([results.length, preset, partial]).toEqual([STEPS.length * 4, "toro-2023", false]);
  expect(results[0]).toMatchObject({ step: "as in 2023", tx: "two-copy", mode: "rtt", size: 8192, p50Us: 200 });
  expect(results[1]).toMatchObject({ mode: "page", size: 133_000, msPerPage: 3, creditWaits: 80, pages: 10 });
});

it("the page shows every step, and needs nothing else", () => {
  const page = experimentPage(outcome());
  for (const { name } of STEPS) expect(page).toContain(name.replace("+", "+"));
  expect(page).not.toMatch(/(?:src|href)=/);
});

it("the two more copies really are made, and counted", () => {
  const extra = new ExtraCopies(8);
  extra.copy(Uint8Array.of(1, 2, 3));
  extra.copy(new Uint8Array(8));
  expect(extra.bytes).toBe(22);
});
