/** Which documents of the repository become pages, and where. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Document {
  /** Path in the repository, `/`-separated: what links in other documents name. */
  readonly source: string;
  /** Path in the site. */
  readonly target: string;
  /** Its place in the navigation; absent on pages that are reached by links alone. */
  readonly nav?: { readonly section: string; readonly title: string };
  readonly markdown: string;
}

/** In the order of the layers, lowest first; whatever else lies in packages/ follows by name. */
const LAYERS = [
  "memory",
  "virtqueue",
  "virtio",
  "kernel",
  "vsock",
  "sockets",
  "virtio-fs",
  "http",
  "host",
  "vhost-user",
  "machine",
  "toril",
];

/** @param root the repository's folder */
export function findDocuments(root: string): Document[] {
  const documents: Document[] = [];
  const add = (source: string, target: string, nav?: Document["nav"]): void => {
    if (!existsSync(join(root, source))) return;
    const markdown = readFileSync(join(root, source), "utf8");
    documents.push(nav === undefined ? { source, target, markdown } : { source, target, nav, markdown });
  };
  add("README.md", "index.html");
  for (const file of list(root, "docs").filter((name) => name.endsWith(".md"))) {
    const name = file.slice(0, -".md".length);
    add(`docs/${file}`, `docs/${name}.html`, { section: "Read", title: titleOf(root, `docs/${file}`) });
  }
  add("ARCHITECTURE.md", "architecture.html", { section: "Read", title: "Architecture" });
  add("CONTRIBUTING.md", "contributing.html", { section: "Read", title: "Contributing" });
  const rank = (name: string): number => (LAYERS.includes(name) ? LAYERS.indexOf(name) : LAYERS.length);
  for (const name of list(root, "packages").sort((a, b) => rank(a) - rank(b))) {
    const title = name === "toril" ? "toril" : `@toril/${name}`;
    add(`packages/${name}/README.md`, `packages/${name}.html`, { section: "Packages", title });
  }
  for (const name of list(root, "apps")) {
    add(`apps/${name}/README.md`, `apps/${name}.html`, { section: "Apps", title: name });
  }
  for (const name of list(root, "tooling")) {
    add(`tooling/${name}/README.md`, `tooling/${name}.html`, { section: "Tools", title: name });
  }
  return documents;
}

function list(root: string, folder: string): string[] {
  return existsSync(join(root, folder)) ? readdirSync(join(root, folder)).sort() : [];
}

function titleOf(root: string, source: string): string {
  const heading = /^# (.+)$/m.exec(readFileSync(join(root, source), "utf8"));
  return heading?.[1] ?? source;
}
