/** SVG as text: elements, numbers and words that are safe in it. */

export type Attributes = Readonly<Record<string, string | number>>;

/** @param content elements, as they are; text goes through `escapeText` first */
export function element(name: string, attributes: Attributes, ...content: readonly string[]): string {
  const text = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(short(value))}"`);
  return `<${name}${text.join("")}>${content.join("")}</${name}>`;
}

export function text(words: string, attributes: Attributes): string {
  return element("text", attributes, escapeText(words));
}

export function escapeText(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** A tenth of a pixel is more than anybody sees. */
function short(value: string | number): string {
  return typeof value === "string" ? value : String(Math.round(value * 10) / 10);
}

/** Moves labels apart that would lie on one another, as little as possible; their order stays. */
export function spreadLabels(wanted: readonly number[], distance: number, top: number, bottom: number): number[] {
  const order = wanted.map((at, index) => ({ at, index })).sort((a, b) => a.at - b.at);
  for (let i = 1; i < order.length; i++) {
    const [above, here] = [order[i - 1], order[i]];
    if (above !== undefined && here !== undefined) here.at = Math.max(here.at, above.at + distance);
  }
  // Back up from the bottom, and once more from the top if there are more than fit.
  let limit = bottom;
  for (const label of [...order].reverse()) {
    label.at = Math.min(label.at, limit);
    limit = label.at - distance;
  }
  const [first] = order;
  if (first !== undefined && first.at < top)
    order.forEach((label, i) => {
      label.at = Math.max(label.at, top + i * distance);
    });
  const placed = [...wanted];
  for (const { at, index } of order) placed[index] = at;
  return placed;
}
