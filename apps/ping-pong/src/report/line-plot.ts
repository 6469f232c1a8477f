/** A value by message size, both logarithmic: a line for each subject, named at its end. */
import { formatNumber, formatSize } from "../units.ts";
import { logScale } from "./scale.ts";
import { element, spreadLabels, text } from "./svg.ts";

interface Point {
  readonly size: number;
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

export interface Series {
  readonly name: string;
  /** A class of the page's style: says the colour. */
  readonly look: string;
  readonly points: readonly Point[];
}

export interface LinePlot {
  readonly title: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  /** All plots of one kind have the same axis: values that it must have room for. */
  readonly range: readonly number[];
}

const WIDTH = 660;
const HEIGHT = 430;
const MARGIN = { left: 66, right: 148, top: 44, bottom: 52 } as const;
const LABEL_DISTANCE = 15;

export function linePlot({ title, yLabel, series, range }: LinePlot): string {
  const bottom = HEIGHT - MARGIN.bottom;
  const right = WIDTH - MARGIN.right;
  const sizes = [...new Set(series.flatMap(({ points }) => points.map(({ size }) => size)))].sort((a, b) => a - b);
  const x = sizeScale(sizes, MARGIN.left + 12, right - 12);
  const y = logScale(range, bottom, MARGIN.top);
  const grid = y.ticks.map(({ at, weight }) =>
    element("line", { class: `grid ${weight}`, x1: MARGIN.left, x2: right, y1: at, y2: at }),
  );
  const yNames = y.ticks
    .filter(({ weight }) => weight === "major" || y.ticks.length < 10)
    .map(({ at, value }) =>
      text(formatTick(value), { class: "tick", x: MARGIN.left - 8, y: at + 4, "text-anchor": "end" }),
    );
  const xNames = sizes.map((size) =>
    text(formatSize(size), { class: "tick", x: x(size), y: bottom + 20, "text-anchor": "middle" }),
  );
  const ends = series.map(({ points }) => y(points.at(-1)?.value ?? 1));
  const labels = spreadLabels(ends, LABEL_DISTANCE, MARGIN.top, bottom);
  const lines = series.map(({ name, look, points }, i) => {
    const end = x(points.at(-1)?.size ?? 0);
    const [from, to] = [ends[i] ?? 0, labels[i] ?? 0];
    return element(
      "g",
      { class: `series ${look}` },
      band(points, x, y),
      element("polyline", {
        points: points.map(({ size, value }) => `${x(size).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
      }),
      ...points.map(({ size, value, min, max }) =>
        element(
          "circle",
          { cx: x(size), cy: y(value), r: 3 },
          element(
            "title",
            {},
            `${name}, ${formatSize(size)}: ${formatNumber(value)} (${formatNumber(min)} to ${formatNumber(max)})`,
          ),
        ),
      ),
      element("line", { class: "leader", x1: end + 5, y1: from, x2: right + 6, y2: to }),
      text(name, { class: "name", x: right + 10, y: to + 4 }),
    );
  });
  const middle = (MARGIN.top + bottom) / 2;
  return element(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
    text(title, { class: "title", x: MARGIN.left, y: 22 }),
    ...[...grid, ...yNames, ...xNames],
    element("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }),
    text("bytes of a message", {
      class: "label",
      x: (MARGIN.left + right) / 2,
      y: HEIGHT - 10,
      "text-anchor": "middle",
    }),
    text(yLabel, {
      class: "label",
      x: 0,
      y: 0,
      "text-anchor": "middle",
      transform: `translate(16 ${middle}) rotate(-90)`,
    }),
    ...lines,
  );
}

/** Where the rounds were. */
function band(points: readonly Point[], x: (size: number) => number, y: (value: number) => number): string {
  const edge = (which: "min" | "max") =>
    points.map((point) => `${x(point.size).toFixed(1)},${y(Math.max(point[which], 1e-6)).toFixed(1)}`);
  return element("polygon", { class: "band", points: [...edge("max"), ...edge("min").reverse()].join(" ") });
}

function sizeScale(sizes: readonly number[], from: number, to: number): (size: number) => number {
  const [low, high] = [Math.log2(sizes[0] ?? 1), Math.log2(sizes.at(-1) ?? 2)];
  if (high === low) return () => (from + to) / 2;
  // 64 bytes and 4 KiB are far apart, 4 and 8 KiB are not: half by their logarithm, half by their order.
  return (size) => {
    const byLog = (Math.log2(size) - low) / (high - low);
    const byOrder = sizes.indexOf(size) / (sizes.length - 1);
    return from + ((byLog + byOrder) / 2) * (to - from);
  };
}

function formatTick(value: number): string {
  return value >= 1 ? value.toLocaleString("en-US") : String(Number(value.toPrecision(1)));
}
