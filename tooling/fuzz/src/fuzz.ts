/** pnpm fuzz [--minutes 10] [--suite TEXT] [--json]: rounds of all suites, on all processors, until the time is up. */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SUITES, type Suite } from "./suites.ts";

interface Record {
  rounds: number;
  seconds: number;
  readonly failures: string[];
}

/** A round that takes longer than this hangs. */
const ROUND_MS = 600_000;
/** Lines of a failure that are kept: fast-check's seed, path and counterexample stand at its start. */
const KEPT_LINES = 60;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    suite: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});

const minutes = Number(values.minutes);
const chosen = SUITES.filter(({ what, package: name, file }) => `${what} ${name}/${file}`.includes(values.suite));
if (!(minutes > 0) || chosen.length === 0) {
  console.error(chosen.length === 0 ? `fuzz: no suite is called "${values.suite}"` : `fuzz: ${values.minutes} minutes`);
  process.exit(2);
}

const packages = fileURLToPath(new URL("../../../packages/", import.meta.url));
const began = performance.now();
const until = began + minutes * 60_000;
const records = new Map<Suite, Record>(chosen.map((suite) => [suite, { rounds: 0, seconds: 0, failures: [] }]));
let turn = 0;

await Promise.all(Array.from({ length: availableParallelism() }, work));
report();

async function work(): Promise<void> {
  // Each suite once at least.
  while (performance.now() < until || turn < chosen.length) {
    const suite = chosen[turn++ % chosen.length];
    const record = suite && records.get(suite);
    if (suite === undefined || record === undefined) return;
    const start = performance.now();
    const failure = await round(suite);
    record.rounds++;
    record.seconds += (performance.now() - start) / 1_000;
    if (failure !== undefined) record.failures.push(failure);
    if (process.stderr.isTTY) {
      const left = Math.max(0, Math.round((until - performance.now()) / 1_000));
      process.stderr.write(`\r${turn} rounds, ${left} s left, last: ${suite.what}\x1b[K`);
    }
  }
}

/** What was printed, when it failed. */
function round({ package: name, file }: Suite): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn("npx", ["vitest", "run", "--reporter=dot", `--testTimeout=${ROUND_MS}`, file], {
      cwd: `${packages}${name}`,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1" },
      timeout: ROUND_MS,
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (text += String(bytes)));
    child.on("error", (error) => resolve(String(error)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(undefined);
      else resolve(`ended with ${code ?? signal}\n${text.split("\n").slice(0, KEPT_LINES).join("\n")}`);
    });
  });
}

function report(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  const rows = [...records].map(([{ what, package: name, file }, record]) => ({
    what,
    file: `${name}/${file}`,
    ...record,
  }));
  const failed = rows.filter(({ failures }) => failures.length > 0);
  if (failed.length > 0) process.exitCode = 1;
  if (values.json) {
    console.log(JSON.stringify({ minutes, suites: rows }));
    return;
  }
  for (const { what, file, failures } of failed) {
    console.log(
      `\n${what} (${file}): ${failures.length} rounds failed. Again: give fast-check the seed and path below`,
    );
    for (const failure of failures.slice(0, 3)) console.log(failure);
  }
  console.log();
  for (const { what, rounds, seconds, failures } of rows) {
    const outcome = failures.length === 0 ? "ok" : `${failures.length} FAILED`;
    console.log(
      `${what.padEnd(46)}${String(rounds).padStart(6)} rounds${seconds.toFixed(0).padStart(7)} s  ${outcome}`,
    );
  }
  console.log(`\n${((performance.now() - began) / 60_000).toFixed(1)} minutes: ${failed.length} suites failed`);
}
