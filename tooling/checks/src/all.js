// Every check, in order of how fast it fails; all of them run, so that one look shows everything. The last line on
// stdout is the plain total of all vitest reports: `N passed, N failed, N skipped`.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { clearReports, summarize } from "./report.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));

const turbo = ["turbo", "run", "--continue=always", "--log-order=grouped"];
const steps = {
  lint: ["biome", "check", "--error-on-warnings"],
  layering: ["turbo", "boundaries"],
  unused: ["knip", "--no-progress"],
  typecheck: [...turbo, "--output-logs=errors-only", "typecheck"],
  // Two cores: three packages at a time, each with one test process, which often waits for what it has started.
  tests: [...turbo, "--output-logs=new-only", "--concurrency=3", "test"],
};

const env = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: "1",
  DO_NOT_TRACK: "1",
  TURBO_NO_UPDATE_NOTIFIER: "1",
  VITEST_MAX_WORKERS: "1",
};

const failed = [];
clearReports(root);
for (const [name, [command = "", ...args]] of Object.entries(steps)) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(command, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) failed.push(name);
}

const summary = summarize(root);
// Tests that failed are named above already; a report that is missing although nothing failed is not.
if (!summary.ok && !failed.includes("tests")) failed.push("reports");
console.log(`\n== summary (Node ${process.versions.node})`);
for (const text of [...summary.details, ...summary.failures]) console.log(text);
console.log(failed.length === 0 ? "every check passed" : `failed: ${failed.join(", ")}`);
console.log(summary.total);
if (failed.length > 0) process.exitCode = 1;
