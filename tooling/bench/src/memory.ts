/**
 * `pnpm bench:memory`: what a block of a Heap costs, and how much memory it holds after a long random run, against
 * malloc of the C library.
 *
 *     pnpm bench:memory [--json] [--rounds 9] [--operations 10000000]
 */
import { parseArgs } from "node:util";
import { startCPeer } from "./c-peer.ts";
import { type Contest, compete, printFigures } from "./comparison.ts";
import { batches, createHeap, dmaPairs, mixed, pairs } from "./memory-load.ts";

const PAIRS = 500_000;
const WARM_UP_ROUNDS = 2;
const SIZES = [16, 256, 4096, 16_384, 65_536, 1 << 20];
const BATCH_SIZES = [64, 1024, 16_384];

const { values: options } = parseArgs({
  // pnpm hands a `--` on.
  args: process.argv.slice(2).filter((argument) => argument !== "--"),
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "9" },
    /** Random replacements before the held memory is looked at. */
    operations: { type: "string", default: "10000000" },
  },
});

const peer = startCPeer("memory", ["memory.c"]);
const heap = createHeap();

/** Millions of allocate and free per second. */
function speed(name: string, ours: () => number, question: string): Contest {
  return {
    name,
    unit: "M pairs/s",
    better: "higher",
    ours: () => 1000 / ours(),
    theirs: peer && (async () => 1000 / (await peer.ask(question))),
  };
}

const contests = [
  ...SIZES.map((size) =>
    speed(`${bytes(size)}, one at a time`, () => pairs(heap, size, PAIRS), `pairs ${size} ${PAIRS}`),
  ),
  ...BATCH_SIZES.map((size) =>
    speed(`${bytes(size)}, batches of 1000`, () => batches(heap, size, PAIRS), `batches ${size} ${PAIRS}`),
  ),
  speed("16 B to 256 KiB, replaced at random", () => mixed(heap, PAIRS).nanoseconds, `mixed ${PAIRS}`),
  speed("DmaBuffer of 4 KiB, against malloc", () => dmaPairs(heap, 4096, PAIRS), `pairs 4096 ${PAIRS}`),
];

try {
  const figures = await compete("bench:memory", contests, Number(options.rounds), WARM_UP_ROUNDS);
  const operations = Number(options.operations);
  const held: Contest = {
    name: `held per byte in use after ${operations.toExponential(0)} replacements`,
    unit: "B",
    better: "lower",
    ours: () => mixed(createHeap(), operations).held,
    theirs: peer && (() => peer.ask(`held ${operations}`)),
  };
  figures.push(...(await compete("bench:memory", [held], 1, 0)));
  printFigures("Blocks of guest memory, one core's heap of 256 MiB", "C malloc", figures, options.json);
} finally {
  peer?.stop();
}

function bytes(size: number): string {
  if (size >= 1 << 20) return `${size >> 20} MiB`;
  return size >= 1024 ? `${size >> 10} KiB` : `${size} B`;
}
