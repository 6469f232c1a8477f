/** Modules of the command that a core's thread loads by their URL: TypeScript in the repository, JavaScript in the package. */

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** The programs that come with the command. */
export function applianceUrl(name: "web" | "ping-pong"): URL {
  return new URL(`./appliance-${name}.${extension}`, import.meta.url);
}

/** The ends of ping-pong that are processes and threads of their own, and the sources of its C peers. */
export const pingPongProcess: URL = new URL(`./ping-pong-process.${extension}`, import.meta.url);
export const pingPongSources: URL = new URL(
  extension === "ts" ? "../../../apps/ping-pong/peers/" : "./peers/",
  import.meta.url,
);

/** Importing it lets a thread load TypeScript. */
export const typeScriptLoader: URL = new URL(`./typescript-preload.${extension}`, import.meta.url);
