/** The programs that come with the command, as modules that a core's thread can load. */

/** @returns the module's URL: TypeScript in the repository, JavaScript in the package */
export function applianceUrl(name: "web"): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./appliance-${name}.${extension}`, import.meta.url);
}
