/** Markdown to HTML: heading anchors, links between documents turned into links between pages. */
import { dirname, posix } from "node:path";
import { Marked } from "marked";
import type { Document } from "./documents.ts";

export interface Rendered {
  readonly title: string;
  readonly html: string;
}

/** @throws Error when a link names a document of the repository that is not there: the site must have no dead ends. */
export function render(document: Document, all: readonly Document[]): Rendered {
  let title = document.source;
  const marked = new Marked({ gfm: true });
  marked.use({
    renderer: {
      heading({ tokens, depth }) {
        const text = this.parser.parseInline(tokens);
        if (depth === 1) title = stripTags(text);
        const id = slug(stripTags(text));
        return `<h${depth} id="${id}"><a class="anchor" href="#${id}">${text}</a></h${depth}>\n`;
      },
      link({ href, tokens }) {
        const target = resolveLink(href, document, all);
        const text = this.parser.parseInline(tokens);
        return target === undefined ? text : `<a href="${target}">${text}</a>`;
      },
      table(token) {
        const row = (cells: readonly { tokens: (typeof token.header)[number]["tokens"] }[], tag: string): string =>
          `<tr>${cells.map((cell) => `<${tag}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>`;
        const body = token.rows.map((cells) => row(cells, "td")).join("\n");
        return `<div class="table"><table><thead>${row(token.header, "th")}</thead><tbody>${body}</tbody></table></div>`;
      },
    },
  });
  const html = marked.parse(document.markdown, { async: false });
  return { title, html };
}

/** Plots and reports, below the repository's root. */
export const FIGURES = "docs/figures";

/** @returns `undefined` for source files and folders: they are in the repository, not on the site. */
function resolveLink(href: string, from: Document, all: readonly Document[]): string | undefined {
  if (/^[a-z]+:/.test(href) || href.startsWith("#")) return href;
  const [path = "", anchor] = href.split("#");
  const source = posix.normalize(posix.join(dirname(from.source), path)).replace(/\/$/, "");
  const found = all.find((document) => document.source === source || document.source === `${source}/README.md`);
  if (found === undefined) {
    // Figures are copied along as they are: from a document in docs/, the link is the same.
    if (source.startsWith(FIGURES)) return href;
    if (!path.endsWith(".md")) return undefined;
    throw new Error(`${from.source} links to ${href}, which is no document: fix the link`);
  }
  const relative = posix.relative(dirname(from.target), found.target);
  return anchor === undefined ? relative : `${relative}#${anchor}`;
}

/** GitHub's rule for heading anchors, so that one link works in both places. */
export function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
}

function stripTags(html: string): string {
  return html
    .replace(/<[^>]+>/g, "")
    .replace(/&amp;/g, "&")
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&#39;/g, "'")
    .replace(/&quot;/g, '"');
}
