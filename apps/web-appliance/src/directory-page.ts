/** A directory without an index page: its names, as a page. */
import type { HttpResponse } from "@toril/http";
import type { DirectoryEntry, FileCalls } from "@toril/virtio-fs";
import { escapeHtml, page } from "./pages.ts";
import type { RequestPath } from "./request-path.ts";

/** More names than this are of no use on one page. */
const MAX_NAMES = 10_000;

/** @throws SystemError as readdir does (ENOTDIR for a file) */
export async function directoryPage(fs: FileCalls, path: RequestPath): Promise<HttpResponse> {
  const entries = await fs.readdir(path.path);
  const shown = entries.filter(isShown).sort(directoriesFirst);
  const items = shown.slice(0, MAX_NAMES).map(item);
  if (path.key !== "/") items.unshift('<li><a href="../">../</a></li>');
  const more = shown.length > MAX_NAMES ? `<p><small>and ${shown.length - MAX_NAMES} more</small></p>` : "";
  const title = escapeHtml(typeof path.path === "string" ? path.path : path.encoded);
  return page(200, title, `<ul>${items.join("\n")}</ul>${more}`, { "cache-control": "no-cache" });
}

/** Hidden files are served to those who know their names, as everywhere; they are not shown around. */
function isShown(entry: DirectoryEntry): boolean {
  return !entry.name.startsWith(".");
}

function directoriesFirst(a: DirectoryEntry, b: DirectoryEntry): number {
  const rank = (entry: DirectoryEntry): number => (entry.type === "directory" ? 0 : 1);
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  return a.name < b.name ? -1 : 1;
}

function item(entry: DirectoryEntry): string {
  const slash = entry.type === "directory" ? "/" : "";
  // The bytes, not the decoded name: a name that is no UTF-8 must still lead to its file.
  let href = "";
  for (const byte of entry.rawName) {
    const character = String.fromCharCode(byte);
    href += /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return `<li><a href="${href}${slash}">${escapeHtml(entry.name)}${slash}</a></li>`;
}
