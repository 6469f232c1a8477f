/** Where the project's own site lies: beside the command, built from the repository's documents. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CommandError } from "../usage.ts";

/** @throws CommandError when it has not been built */
export function siteDirectory(): string {
  // From src/commands in the repository, from dist in the package: the first that is there.
  for (const relative of ["../../site", "../site"]) {
    const directory = fileURLToPath(new URL(relative, import.meta.url));
    if (existsSync(`${directory}/index.html`)) return directory;
  }
  throw new CommandError("the project's own site is not built: run npm start once, or name a directory to serve");
}
