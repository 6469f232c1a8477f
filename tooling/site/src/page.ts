/** The frame around every page. */
import { dirname, posix } from "node:path";
import type { Document } from "./documents.ts";

export interface Page {
  readonly target: string;
  readonly title: string;
  readonly body: string;
}

/** @param all the documents, for the navigation */
export function framePage(page: Page, all: readonly Document[]): string {
  const to = (target: string): string => posix.relative(dirname(page.target), target) || posix.basename(target);
  const sections = [...new Set(all.flatMap((document) => document.nav?.section ?? []))];
  const navigation = sections.map((section) => {
    const items = all.flatMap((document) => {
      if (document.nav?.section !== section) return [];
      const current = document.target === page.target ? ' aria-current="page"' : "";
      return [`<li><a href="${to(document.target)}"${current}>${escapeHtml(document.nav.title)}</a></li>`];
    });
    return `<h2>${section}</h2><ul>${items.join("")}</ul>`;
  });
  const home = page.target === "index.html";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${home ? escapeHtml(page.title) : `${escapeHtml(page.title)} · Toril`}</title>
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${to("icon.svg")}" type="image/svg+xml">
<link rel="stylesheet" href="${to("style.css")}">
</head>
<body${home ? ' class="home"' : ""}>
<header><a class="brand" href="${to("index.html")}"><img src="${to("icon.svg")}" alt="" width="26" height="26"> Toril</a><span>a unikernel in TypeScript</span></header>
<div class="frame">
<nav aria-label="Pages">${navigation.join("\n")}</nav>
<main>
${page.body}
</main>
</div>
<footer>This page came to you through virtio-vsock and virtio-fs: every byte crossed two sets of virtqueues.</footer>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
