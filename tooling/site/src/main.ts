/** `pnpm --filter @toril/tooling-site site`: builds the site to where `toril serve` looks for it. */
import { fileURLToPath } from "node:url";
import { buildSite } from "./build.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const out = fileURLToPath(new URL("../../../packages/toril/site", import.meta.url));
const pages = buildSite(root, out);
if (process.stderr.isTTY) console.error(`toril site: ${pages.length} pages`);
