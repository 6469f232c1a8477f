/** `--report`: the outcome as one page that needs nothing else: plots, what was counted, and how it was measured. */
import type { Mode } from "../job.ts";
import type { Cell, MachineCell, Outcome } from "../outcome.ts";
import { ratios } from "../ratios.ts";
import type { Stages } from "../stages.ts";
import { copiedPerMessage, countedOver, isMachine, nameOf, stagesPerMessage, summarize } from "../summary.ts";
import { formatNumber, formatSize } from "../units.ts";
import { type Bar, barChart } from "./bars.ts";
import { cellOf, htmlPage, legend, paragraph, plots, table } from "./html.ts";
import { linePlot, type Series } from "./line-plot.ts";
import { element } from "./svg.ts";

type Figure = "p50Us" | "mbPerS";

const STAGE_NAMES: readonly (readonly [keyof Omit<Stages, "total">, string, string])[] = [
  ["hostSends", "host hands it over", "p1"],
  ["toGuest", "to the guest's program", "p2"],
  ["guestAsleep", "guest asleep", "p3"],
  ["guestSends", "guest's send call", "p4"],
  ["toHost", "to the host's handler", "p5"],
  ["hostAsleep", "host asleep", "p6"],
];

const COPY_NAMES = [
  ["userToPacket", "user → packet", "p7"],
  ["packetToRing", "packet → ring buffer", "p8"],
  ["header", "headers", "p3"],
  ["headerToRing", "headers again", "p6"],
  ["toUser", "receive buffer → user", "p4"],
  ["toPrivate", "receive buffer → private memory", "p5"],
  ["deviceToGuest", "device → receive buffer", "p1"],
  ["deviceQueue", "device's queue", "p2"],
] as const;

export function reportPage(outcome: Outcome): string {
  const { cells, conditions, missing, preset } = outcome;
  const machines = [...new Set(cells.filter(isMachine).map(({ machine }) => machine))];
  const modes = [...new Set(cells.map(({ mode }) => mode))];
  const body = [
    "<h1>Toril ping-pong: what each transmit path costs</h1>",
    paragraph(`${outcome.machine}`, "meta"),
    paragraph(
      `Preset ${preset}: ${conditions.description}. Medians of ${outcome.rounds} interleaved rounds; the shaded band is from the fastest round to the slowest. Payloads were checked, on rounds that are not among the figures. The receiver does not read the payload unless it says so.`,
      "meta",
    ),
    outcome.completeness === "partial"
      ? paragraph("Partial: the measurement was ended before all rounds were done.", "warning")
      : "",
    ...(modes.includes("rtt") ? latency(cells, machines) : []),
    ...(modes.includes("bulk") ? throughput(cells, machines) : []),
    ...stageCharts(cells.filter(isMachine)),
    ...copyCharts(cells.filter(isMachine), modes),
    ratioTable(outcome),
    ...modes.map((mode) => dataTable(cells, mode)),
    missing.length === 0
      ? ""
      : paragraph(`Not measured: ${missing.map(({ name, reason }) => `${name} (${reason})`).join("; ")}.`),
    methods(outcome),
  ];
  return htmlPage("Toril ping-pong", body);
}

function latency(cells: readonly Cell[], machines: readonly string[]): string[] {
  return [
    "<h2>Latency</h2>",
    paragraph(
      "N bytes to the guest's program and N bytes back, through the socket calls. Lower is faster; both axes are logarithmic.",
    ),
    plots(
      machines.map((machine) =>
        sizePlot(cells, machine, "rtt", "p50Us", `Round trip, ${machine} machine`, "round trip p50, µs"),
      ),
    ),
  ];
}

function throughput(cells: readonly Cell[], machines: readonly string[]): string[] {
  return [
    "<h2>Throughput</h2>",
    paragraph("Messages one way, from the guest's program to the host, as fast as they go. Higher is faster."),
    plots(machines.map((machine) => sizePlot(cells, machine, "bulk", "mbPerS", `One way, ${machine} machine`, "MB/s"))),
  ];
}

function sizePlot(
  cells: readonly Cell[],
  machine: string,
  mode: Mode,
  figure: Figure,
  title: string,
  yLabel: string,
): string {
  const shown = cells.filter((cell) => cell.mode === mode);
  const names = [...new Set(shown.filter((cell) => !isMachine(cell) || cell.machine === machine).map(nameOf))];
  const series = names.flatMap((name): Series[] => {
    const own = shown.filter((cell) => nameOf(cell) === name);
    const points = own.flatMap((cell) => {
      const spread = summarize(cell.unread)?.[figure];
      return spread === undefined ? [] : [{ size: cell.size, value: spread.median, min: spread.min, max: spread.max }];
    });
    const [first] = own;
    if (first === undefined || points.length === 0) return [];
    const sorted = points.sort((a, b) => a.size - b.size);
    if (isMachine(first)) return [{ name: first.tx, look: first.tx, points: sorted }];
    return [{ name, look: name.startsWith("c-") ? "peer c" : "peer", points: sorted }];
  });
  // The peers first: our lines lie over theirs.
  series.sort((a, b) => Number(b.look.startsWith("peer")) - Number(a.look.startsWith("peer")));
  const range = shown.flatMap((cell) => summarize(cell.unread)?.[figure].median ?? []);
  return linePlot({ title, yLabel, series, range });
}

function stageCharts(cells: readonly MachineCell[]): string[] {
  const traced = cells.filter((cell) => cell.stages !== undefined);
  if (traced.length === 0) return [];
  const sizes = [...new Set(traced.map(({ size }) => size))];
  const charts = sizes.map((size) =>
    barChart({
      title: `Where a round trip of ${formatSize(size)} goes`,
      unit: "µs",
      bars: traced.filter((cell) => cell.size === size).map(stageBar),
    }),
  );
  return [
    "<h2>Where the time goes</h2>",
    paragraph(
      "From runs of their own, in which both ends took the time by one clock: medians of each stage. What the loops slept meanwhile is by their own count, as a mean. On a machine of one loop nobody sleeps in between.",
    ),
    legend(STAGE_NAMES.map(([, name, look]) => [name, look])),
    plots(charts),
  ];
}

function stageBar(cell: MachineCell): Bar {
  const { stages } = cell;
  return {
    name: nameOf(cell),
    parts: STAGE_NAMES.map(([key, name, look]) => ({ name, look, value: stages?.[key] ?? 0 })),
  };
}

function copyCharts(cells: readonly MachineCell[], modes: readonly Mode[]): string[] {
  // One size that is neither small nor cut by a window says it all: the copies are per byte.
  const sizes = [...new Set(cells.map(({ size }) => size))];
  const size = sizes.includes(65_536) ? 65_536 : sizes.at(-1);
  const charts = modes.flatMap((mode) => {
    const shown = cells.filter((cell) => cell.size === size && cell.mode === mode && cell.unread.counted !== undefined);
    if (shown.length === 0 || size === undefined) return [];
    const what = mode === "rtt" ? "there and back" : "one way";
    return [
      barChart({
        title: `Copies for a message of ${formatSize(size)}, ${what}`,
        unit: "copies of the payload",
        bars: shown.map((cell) => copyBar(cell)),
      }),
    ];
  });
  return [
    "<h2>The copies</h2>",
    paragraph(
      "Bytes copied for each message, by stage, as the code that copies counts them, in units of the payload's own size.",
    ),
    legend(COPY_NAMES.map(([, name, look]) => [name, look])),
    plots(charts),
  ];
}

function copyBar(cell: MachineCell): Bar {
  const { counted } = cell.unread;
  const copies = counted && stagesPerMessage(counted.copies, countedOver(cell.unread));
  return {
    name: nameOf(cell),
    parts: COPY_NAMES.map(([key, name, look]) => ({ name, look, value: (copies?.[key] ?? 0) / cell.size })),
  };
}

function ratioTable({ cells, preset }: Outcome): string {
  const rows = ratios(cells, preset).map(({ what, ratio, target, reached }) => [
    cellOf(what),
    cellOf(`${formatNumber(ratio)}×`),
    cellOf(target),
    element("td", { class: reached ? "good" : "bad" }, reached ? "reached" : "not reached"),
  ]);
  if (rows.length === 0) return "";
  return `<h2>Against what it is to reach</h2>\n${table(["", "ratio", "target", ""], rows)}`;
}

function dataTable(cells: readonly Cell[], mode: Mode): string {
  const header = [
    ...["", "size", "p50 µs", "p99", "p99.9", "MB/s", "MB/s, read", "p50, read", "copied tx", "rx"],
    ...[
      "packets tx",
      "rx",
      "notified",
      "wake-ups",
      "asleep µs",
      "credit µs",
      "ring µs",
      "allocator µs",
      "spin hits",
      "misses",
    ],
  ];
  const rows = cells
    .filter((cell) => cell.mode === mode)
    .flatMap((cell) => {
      const [summary, read] = [summarize(cell.unread), summarize(cell.read)];
      if (summary === undefined) return [];
      const figures = [summary.p50Us, summary.p99Us, summary.p999Us, summary.mbPerS, read?.mbPerS, read?.p50Us];
      const numbers = figures.map((spread) => (spread === undefined ? "" : formatNumber(spread.median)));
      return [[nameOf(cell), formatSize(cell.size), ...numbers, ...counts(cell)].map(cellOf)];
    });
  const what = mode === "rtt" ? "round trips" : "one way";
  return `<details><summary>All figures, ${what}; counters per message, of the guest's side</summary>\n${table(header, rows)}\n</details>`;
}

function counts(cell: Cell): string[] {
  if (!isMachine(cell) || cell.unread.counted === undefined) return Array.from({ length: 12 }, () => "");
  const { counted } = cell.unread;
  const messages = countedOver(cell.unread);
  const copied = copiedPerMessage(counted, messages);
  const { packets, notifications, guest, creditWaitUs, ringWaitUs, allocatorWaitUs } = counted;
  const sums = [
    packets.tx,
    packets.rx,
    notifications,
    guest.wakeUps,
    guest.asleepUs,
    creditWaitUs,
    ringWaitUs,
    allocatorWaitUs,
    guest.spinHits,
    guest.spinMisses,
  ];
  return [copied.tx, copied.rx, ...sums.map((sum) => sum / messages)].map(formatNumber);
}

function methods({ elapsedMs, preset }: Outcome): string {
  const command = `toril ping-pong${preset === "default" ? "" : ` --preset ${preset}`} --report FILE.html`;
  return `<h2>How it was measured</h2>
${paragraph("A program on the kernel answers on a vsock port. The other side is a handler on the thread of the vsock device (inline, dedicated), or a process that connects to the device's Unix socket (vhost-user). It keeps one message on its way, and takes the time from handing a message over to the last byte of the answer. Each run has a warm-up that does not count; counters are read at both ends of the counted messages.")}
${paragraph("On the zero-copy path the guest lends its buffer to the device, and borrows what it receives; on the others it sends and receives by copying. Messages below the driver's threshold are copied on every path. Node peers are two processes (sockets) or two threads (MessagePort); C peers are two processes: rings in shared memory that spin or sleep in a futex, and a pair of Unix sockets.")}
${paragraph(`${(elapsedMs / 1000).toFixed(0)} s in all. Made with: ${command}`, "meta")}`;
}
