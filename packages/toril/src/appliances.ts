/** Modules of the command that a core's thread loads by their URL: TypeScript in the repository, JavaScript in the package. */

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** The programs that come with the command. */
export function applianceUrl(name: "web"): URL {
  return new URL(`./appliance-${name}.${extension}`, import.meta.url);
}

/** Importing it lets a thread load TypeScript. */
export const typeScriptLoader: URL = new URL(`./typescript-preload.${extension}`, import.meta.url);
