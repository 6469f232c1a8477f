/**
 * pnpm simulate [--seeds N] [--from S] [--workers N] [--json]     many seeds, on all processors
 * pnpm simulate --seed X [--without a,b] [--trace]                 one, again: the same events, and what was found
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { realTime } from "./deterministic-globals.ts";
import { FAULTS } from "./faults.ts";
import { addTally, emptyTally, runSeeds, runTrapped, type Tally } from "./seeds.ts";
import { shrink } from "./shrink.ts";

/** Seeds that a worker takes at a time. */
const BATCH = 100;
/** Of failures, so many are made smaller and told in full. */
const TOLD = 5;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    without: { type: "string", default: "" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    workers: { type: "string" },
    worker: { type: "boolean", default: false },
  },
});

const without = new Set(values.without.split(",").filter((name) => name !== ""));
for (const name of without) {
  if (!(FAULTS as readonly string[]).includes(name)) fail(`--without ${name}: the faults are ${FAULTS.join(", ")}`);
}

if (values.worker) await work();
else if (values.seed !== undefined) await one(whole("seed", values.seed, 0));
else await many(whole("from", values.from, 0), whole("seeds", values.seeds, 1));

function fail(message: string): never {
  console.error(`simulate: ${message}`);
  process.exit(2);
}

function whole(name: string, text: string, least: number): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < least) fail(`--${name} ${text}: give a whole number from ${least} on`);
  return number;
}

/** One seed, told in full. */
async function one(seed: number): Promise<void> {
  const report = await runTrapped({ seed, without, trace: values.trace ? "lines" : "hash" });
  const { lines, ...rest } = report;
  if (values.trace) console.log(lines.join("\n"));
  if (values.json) {
    console.log(JSON.stringify(rest));
  } else {
    const { scenario, topology, faults, events, hash, virtualMs, findings } = report;
    console.log(`seed ${seed}: ${scenario}, ${topology}, ${faults.join(" ") || "no faults"}`);
    console.log(`${events} events in ${Math.round(virtualMs)} virtual ms, trace ${hash}`);
    for (const finding of findings) console.log(`  ${finding}`);
    console.log(findings.length === 0 ? "nothing was found" : `${findings.length} findings`);
  }
  if (report.findings.length > 0) process.exitCode = 1;
}

async function many(from: number, count: number): Promise<void> {
  const wanted = values.workers === undefined ? availableParallelism() : whole("workers", values.workers, 1);
  const began = realTime();
  const sum = await onAllProcessors(from, count, Math.min(wanted, Math.ceil(count / BATCH)), (done) => {
    if (!process.stderr.isTTY) return;
    const seconds = (realTime() - began) / 1_000;
    const left = Math.round(((count - done) * seconds) / done);
    process.stderr.write(`\r${done} of ${count} seeds, ${Math.round(done / seconds)} a second, ${left} s left  `);
  });
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  const seconds = (realTime() - began) / 1_000;
  sum.failures.sort((a, b) => a.seed - b.seed);
  if (values.json) console.log(JSON.stringify({ from, ...sum, seconds }));
  else await tell(sum, from, count, seconds);
  if (sum.failures.length > 0) process.exitCode = 1;
}

async function tell(sum: Tally, from: number, count: number, seconds: number): Promise<void> {
  for (const { seed } of sum.failures.slice(0, TOLD)) {
    const smaller = await shrink(seed, without);
    const flags = [...smaller.without].length === 0 ? "" : ` --without ${[...smaller.without].join(",")}`;
    const { scenario, topology, faults, findings, hash } = smaller.report;
    console.log(`seed ${seed} (${scenario}, ${topology}; needed: ${faults.join(" ") || "no fault"}; trace ${hash})`);
    for (const finding of findings) console.log(`  ${finding}`);
    console.log(`  again: pnpm simulate --seed ${seed}${flags} --trace`);
  }
  const more = sum.failures.slice(TOLD).map(({ seed }) => seed);
  if (more.length > 0)
    console.log(`more seeds with findings: ${more.slice(0, 50).join(" ")}${more.length > 50 ? " …" : ""}`);
  const list = (counts: Record<string, number>): string =>
    Object.entries(counts)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, runs]) => `${name} ${runs}`)
      .join(" · ");
  console.log(`runs: ${list(sum.scenarios)}`);
  console.log(`faults: ${list(sum.faults)}`);
  const rate = `${Math.round(count / seconds)} seeds and ${Math.round(sum.events / seconds)} events a second`;
  console.log(
    `seeds ${from} to ${from + count - 1}: ${sum.failures.length} with findings; ${seconds.toFixed(1)} s, ${rate}`,
  );
}

type Reply = { readonly done: number; readonly tally: Tally };

/** Workers are processes: an unhandled rejection belongs to the seed that runs in its process. */
async function onAllProcessors(
  from: number,
  count: number,
  workers: number,
  progress: (done: number) => void,
): Promise<Tally> {
  const sum = emptyTally();
  let next = from;
  const end = from + count;
  const args = ["--worker", "--without", values.without];
  const run = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(import.meta.url), args);
      const give = (): void => {
        const batch = Math.min(BATCH, end - next);
        if (batch <= 0) {
          child.disconnect();
          return;
        }
        child.send({ from: next, count: batch });
        next += batch;
      };
      child.on("message", (reply: Reply) => {
        addTally(sum, reply.tally);
        progress(sum.seeds);
        give();
      });
      child.on("error", reject);
      child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))));
      give();
    });
  await Promise.all(Array.from({ length: workers }, run));
  return sum;
}

async function work(): Promise<void> {
  process.on("message", ({ from, count }: { from: number; count: number }) => {
    void runSeeds(from, count, { without }).then((tally) => process.send?.({ done: count, tally } satisfies Reply));
  });
  process.on("disconnect", () => process.exit(0));
}
