/** Builds the whole site into a folder. */
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { requestPathDiagram } from "./diagram.ts";
import { findDocuments } from "./documents.ts";
import { framePage } from "./page.ts";
import { FIGURES, render } from "./render.ts";

/** A document says where the drawing goes with this comment; the plain text drawing behind it is for other readers. */
const DIAGRAM_MARK = /<!-- diagram: path of a request -->\s*(?:<pre><code>[\s\S]*?<\/code><\/pre>)?/;

/**
 * @param root the repository's folder
 * @param out where the site goes; what is there is replaced
 * @returns the pages' paths in the site
 */
export function buildSite(root: string, out: string): string[] {
  const documents = findDocuments(root);
  rmSync(out, { recursive: true, force: true });
  const targets = documents.map((document) => {
    const { title, html } = render(document, documents);
    const body = html.replace(DIAGRAM_MARK, () => requestPathDiagram());
    const file = join(out, document.target);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, framePage({ target: document.target, title, body }, documents));
    return document.target;
  });
  if (existsSync(join(root, FIGURES))) cpSync(join(root, FIGURES), join(out, FIGURES), { recursive: true });
  cpSync(fileURLToPath(new URL("../assets", import.meta.url)), out, { recursive: true });
  return targets;
}
