/** What every benchmark prints: a table for people, or one JSON document of this shape. */
import { cpus, release, totalmem } from "node:os";

export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** What it is compared with, measured in the same run. */
  readonly peer: string;
  readonly peerValue: number;
  /** value / peerValue */
  readonly ratio: number;
}

export function result(fields: Omit<Result, "ratio">): Result {
  return { ...fields, ratio: fields.value / fields.peerValue };
}

/** The machine the figures are from: they mean nothing without it. */
export function machineDescription(): string {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model ?? "unknown CPU"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Columns padded to their widest cell; the first one to the left, the rest to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ");
  return rows.map(line).join("\n");
}

/** One JSON document on stdout, or for people: what `text` says, then a line for each of `lines`. */
export function printResults(
  json: boolean,
  results: readonly Result[],
  text: () => string,
  lines: readonly Result[],
): void {
  if (json) {
    console.log(JSON.stringify({ machine: machineDescription(), results }));
    return;
  }
  console.log(`${text()}\n${machineDescription()}`);
  if (lines.length > 0) console.log(`\n${table([["", "", "", "by"], ...lines.map(lineOf)])}`);
}

function lineOf({ name, value, unit, peer, peerValue, ratio }: Result): string[] {
  return [name, `${round(value)} ${unit}`, ratio.toFixed(2), `${round(peerValue)}, ${peer}`];
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
