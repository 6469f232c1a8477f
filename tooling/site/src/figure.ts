/** The plots of a report, each on its own. */

export interface Figure {
  readonly title: string;
  readonly svg: string;
}

/** @param page a report: its plots lie in `<figure>`s, and its style sheet colours them, in light and in dark */
export function figuresOf(page: string): Figure[] {
  const style = /<style>(?<text>[\s\S]*?)<\/style>/.exec(page)?.groups?.["text"] ?? "";
  const figures = [...page.matchAll(/<figure>(?<svg><svg [\s\S]*?<\/svg>)<\/figure>/g)];
  return figures.map(({ groups }) => {
    const svg = groups?.["svg"] ?? "";
    const title = /aria-label="(?<text>[^"]*)"/.exec(svg)?.groups?.["text"] ?? "a plot";
    const [, , width = "660", height = "400"] = /viewBox="(?<box>[^"]*)"/.exec(svg)?.groups?.["box"]?.split(" ") ?? [];
    // A picture of its own has a size, a ground, and the page's variables at its root.
    const open = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" `;
    const own = `<style>${style}\nsvg { background: var(--panel); font-family: system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }</style>`;
    return { title, svg: svg.replace(/^<svg (?<rest>[^>]*)>/, `${open}$<rest>>${own}`) };
  });
}
