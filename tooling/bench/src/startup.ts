/**
 * `pnpm bench:startup`: how soon `toril serve` answers after it was started, what it takes while nothing happens, and
 * whether its memory stays bounded under load. The peer is Node itself: an empty program, started and ended.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ab } from "./ab.ts";
import { processorTime, residentMemory } from "./process-cost.ts";
import { printResults, type Result, result } from "./report.ts";
import { progress, Samples } from "./rounds.ts";
import { type Form, startToril, torilCommand } from "./servers.ts";

const { values: options } = parseArgs({
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: { json: { type: "boolean", default: false }, rounds: { type: "string", default: "9" } },
});
const rounds = Number(options.rounds);

/** What issue 4 asks for. */
const TARGET = { firstAnswerMs: 500, idleMiB: 150 } as const;
const IDLE_SECONDS = 5;
const LOAD = { requests: 10_000, concurrency: 100, keepAlive: "new connections" } as const;
const FILE_BYTES = 133_000;

const directory = mkdtempSync(join(tmpdir(), "toril-bench-start-"));
try {
  writeFileSync(join(directory, "page.bin"), new Uint8Array(FILE_BYTES).fill(7));
  const results = [...(await startUp()), ...(await idle()), ...(await underLoad())];
  printResults(
    options.json,
    results,
    () => `toril serve, started and left alone (median of ${rounds} starts)`,
    results,
  );
} finally {
  rmSync(directory, { recursive: true });
}

/** From the start of the process to the last byte of its first answer. */
async function startUp(): Promise<Result[]> {
  const samples = new Samples();
  const cases = [
    { name: "inline, from dist", form: "dist", machine: "inline" },
    { name: "dedicated, from dist", form: "dist", machine: "dedicated" },
    { name: "inline, from source", form: "source", machine: "inline" },
  ] as const;
  for (let round = 0; round <= rounds; round++) {
    progress(`bench:startup: round ${round} of ${rounds}`);
    // The first round finds nothing in the page cache.
    const add = (name: string, ms: number): void => void (round > 0 && samples.add(name, ms));
    for (const { name, form, machine } of cases) {
      const { ms, processorMs } = await firstAnswer(form, machine);
      add(name, ms);
      add(`${name}, processor`, processorMs);
    }
    add("node", emptyProgram());
  }
  progress("");
  return cases.flatMap(({ name }) => [
    result({
      name: `first answer after the start, ${name}`,
      value: samples.of(name).median,
      unit: "ms",
      better: "lower",
      peer: "the target",
      peerValue: TARGET.firstAnswerMs,
    }),
    result({
      name: `processor time until then, ${name}`,
      value: samples.of(`${name}, processor`).median,
      unit: "ms",
      better: "lower",
      peer: "node -e '', from its start to its end",
      peerValue: samples.of("node").median,
    }),
  ]);
}

interface FirstAnswer {
  readonly ms: number;
  /** Processor time until then, in milliseconds: says the same on a busy machine. */
  readonly processorMs: number;
}

async function firstAnswer(form: Form, machine: string): Promise<FirstAnswer> {
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  const args = [...torilCommand(form), "serve", directory, "--port", String(port), "--machine", machine];
  const start = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(child, "exit");
  try {
    // It prints its address when it listens.
    const heard = await Promise.race([once(child.stdout, "data"), ended.then(() => undefined)]);
    if (heard === undefined) throw new Error(`toril serve ended at once: toril ${args.slice(1).join(" ")}`);
    await get(port);
    return { ms: performance.now() - start, processorMs: processorTime(child.pid ?? 0) / 1000 };
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

function emptyProgram(): number {
  const start = performance.now();
  spawnSync(process.execPath, ["-e", ""]);
  return performance.now() - start;
}

function get(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const ask = request({ port, path: "/page.bin", agent: false }, (response) => {
      response.resume().once("end", resolve);
    });
    ask.once("error", reject).end();
  });
}

/** Memory and processor time of a server that has answered once and is left alone. */
async function idle(): Promise<Result[]> {
  const results: Result[] = [];
  for (const machine of ["inline", "dedicated"] as const) {
    const server = await startToril(machine, directory, { flags: ["--machine", machine] });
    await ab(`${server.url}page.bin`, { requests: 1, concurrency: 1, keepAlive: "new connections" });
    await sleep(1_000);
    const before = processorTime(server.pid);
    await sleep(IDLE_SECONDS * 1_000);
    const share = (processorTime(server.pid) - before) / (IDLE_SECONDS * 10_000);
    results.push(
      result({
        name: `resident memory when idle, ${machine}`,
        value: residentMemory(server.pid),
        unit: "MiB",
        better: "lower",
        peer: "the target",
        peerValue: TARGET.idleMiB,
      }),
      result({
        name: `processor time when idle, ${machine}`,
        value: share,
        unit: "% of a processor",
        better: "lower",
        peer: "one processor",
        peerValue: 100,
      }),
    );
    await server.stop();
  }
  return results;
}

/** Memory after load, and after five times as much: the second is to be no more than the first. */
async function underLoad(): Promise<Result[]> {
  const results: Result[] = [];
  for (const machine of ["inline", "dedicated"] as const) {
    const server = await startToril(machine, directory, { flags: ["--machine", machine] });
    const sizes: number[] = [];
    for (let i = 0; i < 5; i++) {
      progress(`bench:startup: load ${i + 1} of 5, ${machine}`);
      await ab(`${server.url}page.bin`, LOAD);
      sizes.push(residentMemory(server.pid));
    }
    progress("");
    await server.stop();
    const [first = Number.NaN] = sizes;
    results.push(
      result({
        name: `resident memory after 50,000 requests at -c 100, ${machine}`,
        value: sizes.at(-1) ?? Number.NaN,
        unit: "MiB",
        better: "lower",
        peer: "after 10,000",
        peerValue: first,
      }),
    );
  }
  return results;
}
