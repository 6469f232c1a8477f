// node tooling/checks/src/total.js node20 node24: the total of several runs, as one plain line.
import { fileURLToPath } from "node:url";
import { summarize } from "./report.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const { ok, failures, total } = summarize(root, process.argv.slice(2));
for (const text of failures) console.log(text);
console.log(total);
if (!ok) process.exitCode = 1;
