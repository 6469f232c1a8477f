// node tooling/test-report/src/main.js node20 node24: the total of several runs.
import { fileURLToPath } from "node:url";
import { printSummary } from "./report.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
if (!printSummary(root, process.argv.slice(2))) process.exitCode = 1;
