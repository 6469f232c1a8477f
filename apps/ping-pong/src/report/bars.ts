/** Horizontal bars made of parts. */
import { formatNumber } from "../units.ts";
import { element, text } from "./svg.ts";

export interface Bar {
  readonly name: string;
  /** In the order in which they lie. */
  readonly parts: readonly { readonly name: string; readonly look: string; readonly value: number }[];
}

export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 660;
const LEFT = 160;
const RIGHT = 70;
const TOP = 40;
const ROW = 26;
const BAR = 17;
const BOTTOM = 44;

export function barChart({ title, unit, bars }: BarChart): string {
  const totals = bars.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0));
  const greatest = Math.max(...totals, Number.MIN_VALUE);
  const width = WIDTH - LEFT - RIGHT;
  const bottom = TOP + bars.length * ROW;
  const step = niceStep(greatest / 4);
  const place = (value: number): number => LEFT + (value / greatest) * width;
  const ticks: string[] = [];
  for (let value = 0; value <= greatest * 1.0001; value += step) {
    ticks.push(
      element("line", { class: "grid major", x1: place(value), x2: place(value), y1: TOP - 6, y2: bottom }),
      text(formatTick(value, step), { class: "tick", x: place(value), y: bottom + 16, "text-anchor": "middle" }),
    );
  }
  const rows = bars.map(({ name, parts }, i) => {
    const y = TOP + i * ROW;
    let at = 0;
    const pieces = parts.map((part) => {
      const x = place(at);
      at += part.value;
      return element(
        "rect",
        { class: `part ${part.look}`, x, y, width: Math.max(0, place(at) - x), height: BAR },
        element("title", {}, `${name}, ${part.name}: ${formatNumber(part.value)} ${unit}`),
      );
    });
    return [
      text(name, { class: "name", x: LEFT - 10, y: y + 13, "text-anchor": "end" }),
      ...pieces,
      text(formatNumber(totals[i] ?? 0), { class: "total", x: place(at) + 6, y: y + 13 }),
    ].join("");
  });
  return element(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${bottom + BOTTOM}`, role: "img", "aria-label": title },
    text(title, { class: "title", x: 10, y: 20 }),
    ...[...ticks, ...rows],
    text(unit, { class: "label", x: LEFT + width / 2, y: bottom + 36, "text-anchor": "middle" }),
  );
}

function niceStep(about: number): number {
  const decade = 10 ** Math.floor(Math.log10(about));
  return decade * ([1, 2, 5, 10].find((step) => step * decade >= about) ?? 10);
}

function formatTick(value: number, step: number): string {
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return value.toLocaleString("en-US", { minimumFractionDigits: 0, maximumFractionDigits: digits });
}
