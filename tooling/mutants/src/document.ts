/** The list of mutants in docs/testing.md. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { areas } from "./mutants.ts";

export const DOCUMENT: string = fileURLToPath(new URL("../../../docs/testing.md", import.meta.url));
const BEGIN = "<!-- mutants: `pnpm mutants --write` writes this -->\n";
const END = "<!-- end of mutants -->";

/** The document with the list as it should be. @throws Error when the marks are gone. */
export function documentWithList(): string {
  const document = readFileSync(DOCUMENT, "utf8");
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no place for the list of mutants`);
  return document.slice(0, begin + BEGIN.length) + listOfMutants() + document.slice(end);
}

function listOfMutants(): string {
  return areas
    .map(({ name, mutants }) => {
      const rows = mutants.map(({ what, why, package: folder, file }) => {
        const place = `${folder}/${file.split("/").at(-1) ?? ""}`;
        return `| ${what} | ${why} | ${place} |\n`;
      });
      return `\n**${name}** (${mutants.length})\n\n| bug | why somebody could make it | file |\n|---|---|---|\n${rows.join("")}`;
    })
    .join("")
    .concat("\n");
}
