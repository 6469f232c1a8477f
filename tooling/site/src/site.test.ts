import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { buildSite } from "./build.ts";
import { slug } from "./render.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "toril-site-"));
afterAll(() => rmSync(out, { recursive: true }));

test("every document becomes a page, and every link between pages leads somewhere", () => {
  const pages = buildSite(root, out);
  expect(pages).toContain("index.html");
  expect(pages.filter((page) => page.startsWith("packages/")).length).toBeGreaterThan(8);
  for (const page of pages) {
    const html = readFileSync(join(out, page), "utf8");
    for (const [, link = ""] of html.matchAll(/(?:href|src)="([^"#:]+)(?:#[^"]*)?"/g)) {
      const target = join(out, dirname(page), link);
      expect(existsSync(target), `${page} links to ${link}`).toBe(true);
    }
  }
});

test("the front page carries the drawing of a request's path", () => {
  expect(readFileSync(join(out, "index.html"), "utf8")).toContain('<svg class="path"');
});

test("anchors follow the rule of the places where the documents are read", () => {
  expect(slug("What `npm start` does, and why")).toBe("what-npm-start-does-and-why");
});
