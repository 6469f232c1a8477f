/**
 * Lets the thread that imports this load TypeScript, on a Node that cannot by itself: the command's own thread, and each
 * core's thread of the dedicated machine.
 *
 * A program is an ES module wherever it lies. Without a package.json beside it that says so, Node would take a `.ts` file
 * for CommonJS, and `import` of it fails; so its format is decided here. `.cts` stays what it says.
 */
import { register } from "node:module";
import { register as registerTsx } from "tsx/esm/api";

/** Runs on the thread of the hooks, where there is no loader: therefore plain JavaScript, and in a URL of its own. */
const FORMAT_HOOK = `
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const ours = /^file:[^?#]*\\.ts(?:[?#]|$)/.test(found.url) && !found.url.includes("/node_modules/");
  return ours ? { ...found, format: "module" } : found;
}`;

registerTsx();
register(`data:text/javascript,${encodeURIComponent(FORMAT_HOOK)}`);
