/** The outcome for people at a terminal. */

import type { Mode } from "./job.ts";
import { ratios } from "./ratios.ts";
import type { Cell, MachineCell, Outcome } from "./runner.ts";
import { copiedPerMessage, countedOver, isMachine, summarize } from "./summary.ts";

export function formatTable(outcome: Outcome): string {
  const { cells, conditions, missing } = outcome;
  const modes = [...new Set(cells.map(({ mode }) => mode))];
  const partial = outcome.completeness === "partial" ? ["", "PARTIAL: it was ended before all rounds were done."] : [];
  return [
    outcome.machine,
    `Preset ${outcome.preset}: ${conditions.description}. Medians of ${outcome.rounds} interleaved rounds; "read": the receiver reads the payload.`,
    ...partial,
    ...modes.flatMap((mode) => [...matrices(cells, mode), ...details(cells.filter(isMachine), mode)]),
    ...ratioLines(cells),
    ...missing.map(({ name, reason }) => `Missing: ${name}: ${reason}`),
    `${(outcome.elapsedMs / 1000).toFixed(0)} s in all.`,
    "",
  ].join("\n");
}

/** One line for each subject, one column for each size. */
function matrices(cells: readonly Cell[], mode: Mode): string[] {
  const sizes = [...new Set(cells.map(({ size }) => size))];
  const header = ["", ...sizes.map(formatSize)];
  const names = [...new Set(cells.map(nameOf))];
  const lines = (value: (cell: Cell) => string): string[][] => [
    header,
    ...names.map((name) => [
      name,
      ...sizes.map((size) => {
        const cell = cells.find((one) => nameOf(one) === name && one.size === size && one.mode === mode);
        return cell === undefined ? "" : value(cell);
      }),
    ]),
  ];
  const figure = (cell: Cell, payload: "unread" | "read", name: "p50Us" | "mbPerS"): string => {
    const summary = summarize(cell[payload]);
    return summary === undefined ? "-" : formatNumber(summary[name].median);
  };
  const both = (name: "p50Us" | "mbPerS") => (cell: Cell) =>
    `${figure(cell, "unread", name)} / ${figure(cell, "read", name)}`;
  if (mode === "rtt") {
    return ["", "Round trip p50 in µs: payload not read / read", pad(lines(both("p50Us")))];
  }
  return ["", "One way, MB/s: payload not read / read", pad(lines(both("mbPerS")))];
}

/** What was counted, per message. */
function details(cells: readonly MachineCell[], mode: Mode): string[] {
  const header = [
    ...["", "p50", "p99", "p99.9 µs", "± p50", "MB/s", "copied tx", "rx B", "packets tx", "rx"],
    ...["notified", "suppr.", "wake-ups", "asleep", "credit", "ring", "alloc µs", "spin hit", "miss"],
  ];
  const rows = cells.filter((cell) => cell.mode === mode).flatMap((cell) => detail(cell));
  if (rows.length === 0) return [];
  const what = mode === "rtt" ? "Round trips" : "One way";
  return ["", `${what}, payload not read; counters per message, of the guest's side`, pad([header, ...rows])];
}

function detail(cell: MachineCell): string[][] {
  const summary = summarize(cell.unread);
  const { counted } = cell.unread;
  if (summary === undefined || counted === undefined) return [];
  const messages = countedOver(cell.unread);
  const copied = copiedPerMessage(counted, messages);
  const per = (value: number): string => formatNumber(value / messages);
  const { p50Us, p99Us, p999Us, mbPerS } = summary;
  return [
    [
      `${nameOf(cell)} ${formatSize(cell.size)}`,
      ...[p50Us, p99Us, p999Us].map(({ median }) => formatNumber(median)),
      `${formatNumber(p50Us.min)}…${formatNumber(p50Us.max)}`,
      formatNumber(mbPerS.median),
      ...[formatNumber(copied.tx), formatNumber(copied.rx), per(counted.packets.tx), per(counted.packets.rx)],
      ...[per(counted.notifications), per(counted.notificationsSuppressed)],
      ...[per(counted.guest.wakeUps), per(counted.guest.asleepUs)],
      ...[per(counted.creditWaitUs), per(counted.ringWaitUs), per(counted.allocatorWaitUs)],
      ...[per(counted.guest.spinHits), per(counted.guest.spinMisses)],
    ],
  ];
}

function ratioLines(cells: readonly Cell[]): string[] {
  const rows = ratios(cells).map(({ what, ratio, target, reached }) => [
    what,
    `${ratio.toFixed(2)}×`,
    target,
    reached ? "reached" : "not reached",
  ]);
  return rows.length === 0 ? [] : ["", "Against what it is to reach", pad(rows), ""];
}

export function nameOf(cell: Cell): string {
  return isMachine(cell) ? `${cell.machine} ${cell.tx}` : cell.name;
}

/** Three digits that mean something. */
export function formatNumber(value: number): string {
  if (value === 0) return "0";
  if (value < 0.005) return "<0.01";
  if (value < 10) return value.toFixed(2);
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

export function formatSize(bytes: number): string {
  if (bytes >= 2 ** 20 && bytes % 2 ** 20 === 0) return `${bytes / 2 ** 20} MiB`;
  if (bytes >= 1024 && bytes % 1024 === 0) return `${bytes / 1024} KiB`;
  return `${bytes} B`;
}

/** Columns as wide as their widest cell; the first one to the left, the rest to the right. */
function pad(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}
