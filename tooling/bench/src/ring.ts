/**
 * `pnpm bench:ring`: what a chain costs through the split ring (add, publish, next, complete, publish, poll), against a
 * reference in C of the same algorithm, structures, checks and barriers (peers/ring.c).
 *
 *     pnpm bench:ring [--json] [--rounds 11] [--only TEXT]
 *
 * `--only` measures what has TEXT in its name.
 *
 * It measures the packages' dist, which is what users run. Against the sources:
 *
 *     node --conditions=@toril/source --import ../vitest/tsx-preload.js src/ring.ts      (in tooling/bench)
 */
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { startCPeer } from "./c-peer.ts";
import { type Contest, compete, printFigures } from "./comparison.ts";
import { median } from "./report.ts";
import { createMemory, drive, type SingleLoad, singleThread, threadRings } from "./ring-load.ts";

const CHAINS = 200_000;
const THREAD_CHAINS = 250_000;
const WARM_UP_ROUNDS = 3;

const { values: options } = parseArgs({
  // pnpm hands a `--` on.
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "11" },
    only: { type: "string", default: "" },
  },
});

const loads: readonly SingleLoad[] = [
  { batch: 1, segments: 1, tables: "direct" },
  { batch: 16, segments: 1, tables: "direct" },
  { batch: 16, segments: 3, tables: "direct" },
  { batch: 16, segments: 3, tables: "indirect" },
];
const depths = [16, 128, 256];

const peer = startCPeer("ring-bench", "ring.c", "ring.h");
const memory = createMemory();
const runs = loads.map((load) => ({ load, run: singleThread(memory, load) }));
const threadMemory = createMemory();
const device = new Worker(new URL("ring-device.ts", import.meta.url), { workerData: threadMemory.wasm });

const single = runs.map(({ load, run }): Contest => {
  const { batch, segments, tables } = load;
  const buffers = segments === 1 ? "1 buffer" : `${segments} buffers, ${tables}`;
  return {
    name: `one thread, batch ${batch}, ${buffers}`,
    unit: "ns/chain",
    better: "lower",
    ours: () => run(CHAINS),
    theirs: peer && (() => peer.ask(`single ${batch} ${segments} ${tables} ${CHAINS}`)),
  };
});
const threads = depths.map(
  (depth): Contest => ({
    name: `two threads, depth ${depth}`,
    unit: "ns/chain",
    better: "lower",
    ours: () => drive(threadRings(threadMemory), depth, THREAD_CHAINS),
    theirs: peer && (() => peer.ask(`threads ${depth} ${THREAD_CHAINS}`)),
  }),
);

try {
  const contests = [...single, ...threads].filter(({ name }) => name.includes(options.only));
  const figures = await compete("bench:ring", contests, Number(options.rounds), WARM_UP_ROUNDS);
  const allocated = runs.map(({ run }) => heapBytesPerChain(run));
  if (allocated.some((bytes) => bytes >= 1)) {
    throw new Error(`a chain takes heap: ${allocated.map((bytes) => bytes.toFixed(1)).join(", ")} bytes`);
  }
  const what = import.meta.resolve("@toril/virtqueue").includes("/dist/") ? "dist" : "source";
  const heap = `heap: ${Math.max(0, ...allocated).toFixed(2)} bytes a chain at most`;
  printFigures(`A chain there and back, queue of 256, ${what}; ${heap}`, "C (gcc -O2)", figures, options.json);
} finally {
  peer?.stop();
  await device.terminate();
}

/** By how much the heap grows per chain: the median of stretches too short for a garbage collection in each. */
function heapBytesPerChain(run: (chains: number) => number): number {
  const stretches = Array.from({ length: 9 }, () => {
    const before = process.memoryUsage().heapUsed;
    run(CHAINS / 4);
    return (process.memoryUsage().heapUsed - before) / (CHAINS / 4);
  });
  return median(stretches);
}
