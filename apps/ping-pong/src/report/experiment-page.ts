/** `--preset toro-2023 --report`: the experiment as a page. */
import type { TxPath } from "@toril/vsock";
import type { ExperimentCell, ExperimentOutcome, Pages } from "../experiment/outcome.ts";
import { isRoundTrips, msPerPage, p50, placeOf } from "../experiment/table.ts";
import { formatNumber, formatSize } from "../units.ts";
import { type Bar, barChart } from "./bars.ts";
import { cellOf, htmlPage, legend, paragraph, plots, table } from "./html.ts";
import { element, escapeText } from "./svg.ts";

const LOOKS: Readonly<Record<TxPath, string>> = { "two-copy": "p7", "one-copy": "p1", "zero-copy": "p4" };

export function experimentPage(outcome: ExperimentOutcome): string {
  const { steps, sizes, cells } = outcome;
  const paths = [...new Set(cells.map(({ tx }) => tx))];
  const charts = sizes.map((size) =>
    barChart({
      title: `Round trip of ${formatSize(size)}`,
      unit: "µs (p50)",
      bars: bars(outcome, (cell) => (isRoundTrips(cell) && cell.size === size ? p50(cell) : undefined)),
    }),
  );
  const page = barChart({
    title: "A page of 133,000 bytes: HTTP/1.0, a TCP connection for each",
    unit: "milliseconds",
    bars: bars(outcome, (cell) => (cell.kind === "page" ? msPerPage(cell) : undefined)),
  });
  return htmlPage("Toro's experiment of 2023, step by step", [
    "<h1>Toro’s experiment of 2023, step by step</h1>",
    paragraph(outcome.machine, "meta"),
    paragraph(
      `Dedicated machine; medians of ${outcome.rounds} interleaved rounds. Each step keeps the changes before it. Every machine was up at once, and they were measured by turns. ${placeOf(outcome)}`,
      "meta",
    ),
    outcome.completeness === "partial"
      ? paragraph("Partial: the measurement was ended before all rounds were done.", "warning")
      : "",
    element(
      "dl",
      {},
      ...steps.map(
        ({ name, change }) => `${element("dt", {}, escapeText(name))}${element("dd", {}, escapeText(change))}`,
      ),
    ),
    "<h2>What each step is worth</h2>",
    legend(paths.map((tx) => [tx, LOOKS[tx]])),
    plots([...charts, page]),
    "<h2>What the guest waited for</h2>",
    paragraph("For a page: waits for credit, wake-ups of the core, and the bytes that the guest copied to send it."),
    waits(outcome),
    paragraph(
      `${(outcome.elapsedMs / 1000).toFixed(0)} s in all. Made with: toril ping-pong --preset toro-2023 --report FILE.html`,
      "meta",
    ),
  ]);
}

function bars({ cells, steps }: ExperimentOutcome, value: (cell: ExperimentCell) => number | undefined): Bar[] {
  return steps.flatMap((step) =>
    cells
      .filter((cell) => cell.step === step)
      .flatMap((cell) => {
        const found = value(cell);
        if (found === undefined || Number.isNaN(found)) return [];
        return [{ name: `${step.name}, ${cell.tx}`, parts: [{ name: cell.tx, look: LOOKS[cell.tx], value: found }] }];
      }),
  );
}

function waits({ cells }: ExperimentOutcome): string {
  const header = [
    "step",
    "path",
    "pages/s",
    "credit waits",
    "ms waited for credit",
    "wake-ups",
    "ms asleep",
    "bytes copied",
  ];
  const rows = cells
    .filter((cell): cell is Pages => cell.kind === "page" && cell.pages > 0)
    .map((cell) => {
      const { creditWaits, creditWaitMs, wakeUps, asleepMs, copiedBytes } = cell.sums;
      const perPage = [creditWaits, creditWaitMs, wakeUps, asleepMs, copiedBytes].map((sum) => sum / cell.pages);
      return [cell.step.name, cell.tx, ...[1000 / msPerPage(cell), ...perPage].map(formatNumber)].map(cellOf);
    });
  return table(header, rows);
}
