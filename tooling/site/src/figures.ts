/**
 * `pnpm docs:figures REPORT.html NAME`: keeps a report of `toril ping-pong` in docs/figures as NAME.html, and each of its
 * plots as NAME-1.svg, NAME-2.svg …, which need nothing else: documents show them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { figuresOf } from "./figure.ts";

const folder = fileURLToPath(new URL("../../../docs/figures/", import.meta.url));
const [report, name] = process.argv.slice(2).filter((argument) => argument !== "--");
if (report === undefined || name === undefined) {
  console.error("say which report, and under which name: pnpm docs:figures REPORT.html NAME");
  process.exitCode = 2;
} else {
  const page = readFileSync(resolve(process.env["INIT_CWD"] ?? ".", report), "utf8");
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}${name}.html`, page);
  for (const [i, { title, svg }] of figuresOf(page).entries()) {
    writeFileSync(`${folder}${name}-${i + 1}.svg`, svg);
    console.log(`docs/figures/${name}-${i + 1}.svg: ${title}`);
  }
}
