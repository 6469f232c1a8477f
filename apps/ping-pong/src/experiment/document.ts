/** `--preset toro-2023 --json`: the experiment as one document. Counters are sums over `messages` or `pages`. */
import { spread } from "../statistics.ts";
import type { ExperimentCell, ExperimentOutcome } from "./outcome.ts";
import { PAGE_BYTES } from "./page.ts";
import { EXPERIMENT } from "./steps.ts";

export function experimentDocument(outcome: ExperimentOutcome): object {
  return {
    machine: outcome.machine,
    preset: EXPERIMENT,
    partial: outcome.completeness === "partial",
    rounds: outcome.rounds,
    ...(outcome.cpus === undefined ? {} : { cpus: outcome.cpus }),
    steps: outcome.steps,
    results: outcome.cells.flatMap(entry),
    peers: [],
  };
}

function entry(cell: ExperimentCell): object[] {
  const { step, tx } = cell;
  const common = { machine: "dedicated", step: step.name, tx };
  if (cell.kind === "page") {
    if (cell.msPerPage.length === 0) return [];
    const { median, min, max } = spread(cell.msPerPage);
    const figures = { msPerPage: median, pagesPerS: 1000 / median, spread: { msPerPage: [min, max] } };
    return [{ ...common, mode: "page", size: PAGE_BYTES, ...figures, pages: cell.pages, ...cell.sums }];
  }
  if (cell.figures.length === 0) return [];
  const of = (name: "p50" | "p99" | "p999"): number => spread(cell.figures.map((round) => round[name])).median;
  const { min, max } = spread(cell.figures.map((round) => round.p50));
  const messages = cell.figures.reduce((sum, round) => sum + round.messages, 0);
  const figures = { p50Us: of("p50"), p99Us: of("p99"), p999Us: of("p999"), spread: { p50Us: [min, max] } };
  return [{ ...common, mode: "rtt", size: cell.size, ...figures, messages, counted: cell.counted }];
}
