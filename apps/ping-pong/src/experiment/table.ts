/** The experiment for people at a terminal. */

import { pad } from "../columns.ts";
import { median } from "../statistics.ts";
import { formatNumber, formatSize } from "../units.ts";
import type { ExperimentCell, ExperimentOutcome, Pages, RoundTrips } from "./outcome.ts";

export function formatExperiment(outcome: ExperimentOutcome): string {
  const { steps, sizes, cells } = outcome;
  const partial = outcome.completeness === "partial" ? ["PARTIAL: it was ended before all rounds were done.", ""] : [];
  const header = [
    ...["", "", ...sizes.map((size) => `${formatSize(size)} p50 µs`), "page ms", "pages/s"],
    ...["credit waits", "ms per page", "wake-ups", "per page", "copied B per page"],
  ];
  const rows = steps.flatMap((step) => {
    const own = cells.filter((cell) => cell.step === step);
    const paths = [...new Set(own.map(({ tx }) => tx))];
    return [
      ...paths.map((tx, i) =>
        row(
          i === 0 ? step.name : "",
          tx,
          own.filter((cell) => cell.tx === tx),
        ),
      ),
      ratioRow(own),
    ];
  });
  return [
    outcome.machine,
    `Toro's experiment of 2023, step by step. Dedicated machine; medians of ${outcome.rounds} interleaved rounds. Each step keeps the changes before it.`,
    placeOf(outcome),
    ...steps.map(({ name, change }) => `  ${name}: ${change}`),
    "",
    ...partial,
    pad([header, ...rows]),
    "",
    "two/one: how many times as long two-copy takes as one-copy. Waits and copies are the guest's, on its way out.",
    `${(outcome.elapsedMs / 1000).toFixed(0)} s in all.`,
    "",
  ].join("\n");
}

export function placeOf({ cpus }: ExperimentOutcome): string {
  if (cpus === undefined) return "Core and device are wherever the system puts them: taskset is not to be had here.";
  return `The core is kept on processor ${cpus[0]}, its vsock device on processor ${cpus[1]}.`;
}

function row(name: string, tx: string, cells: readonly ExperimentCell[]): string[] {
  const page = cells.find((cell): cell is Pages => cell.kind === "page");
  const per = (value: number): string =>
    page === undefined || page.pages === 0 ? "-" : formatNumber(value / page.pages);
  return [
    ...[name, tx, ...cells.filter(isRoundTrips).map((cell) => show(p50(cell)))],
    ...(page === undefined ? [] : [show(msPerPage(page)), show(1000 / msPerPage(page))]),
    ...(page === undefined ? [] : [per(page.sums.creditWaits), per(page.sums.creditWaitMs)]),
    ...(page === undefined
      ? []
      : [per(page.sums.wakeUps), `${per(page.sums.asleepMs)} ms`, per(page.sums.copiedBytes)]),
  ];
}

/** The comparison of the post. */
function ratioRow(cells: readonly ExperimentCell[]): string[] {
  const of = (tx: string): readonly number[] =>
    cells.filter((cell) => cell.tx === tx).map((cell) => (cell.kind === "page" ? msPerPage(cell) : p50(cell)));
  const [two, one] = [of("two-copy"), of("one-copy")];
  if (two.length === 0 || one.length === 0) return [];
  return ["", "two/one", ...two.map((value, i) => `${(value / (one[i] ?? Number.NaN)).toFixed(3)}×`)];
}

export const isRoundTrips = (cell: ExperimentCell): cell is RoundTrips => cell.kind === "rtt";

export const p50 = ({ figures }: RoundTrips): number => median(figures.map((round) => round.p50));
export const msPerPage = ({ msPerPage: rounds }: Pages): number => median(rounds);

const show = (value: number): string => (Number.isNaN(value) ? "-" : formatNumber(value));
