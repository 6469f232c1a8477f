/** A page that needs nothing else, and what it is made of. */
import { STYLE } from "./style.ts";
import { element, escapeText } from "./svg.ts";

/** @param body parts in their order; empty ones are left out */
export function htmlPage(title: string, body: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
<main>
${body.filter((part) => part !== "").join("\n")}
</main>
</html>
`;
}

export function legend(entries: readonly (readonly [string, string])[]): string {
  const items = entries.map(([name, look]) => {
    const swatch = element(
      "svg",
      { viewBox: "0 0 14 14", "aria-hidden": "true" },
      element("rect", { class: look, width: 14, height: 14, rx: 2 }),
    );
    return element("li", {}, swatch, escapeText(name));
  });
  return element("ul", { class: "legend" }, ...items);
}

export function plots(figures: readonly string[]): string {
  return element("div", { class: "plots" }, ...figures.map((figure) => element("figure", {}, figure)));
}

export function paragraph(words: string, look = ""): string {
  return element("p", look === "" ? {} : { class: look }, escapeText(words));
}

export function cellOf(words: string): string {
  return element("td", {}, escapeText(words));
}

export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = element("tr", {}, ...header.map((words) => element("th", {}, escapeText(words))));
  return element(
    "div",
    { class: "scroll" },
    element("table", {}, head, ...rows.map((row) => element("tr", {}, ...row))),
  );
}
