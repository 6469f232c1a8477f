/**
 * `pnpm bench:memory`: what a block of a Heap costs, and how much memory it holds after a long random run, against
 * malloc of the C library; then what copies into, out of and within shared memory cost, against memcpy and memset.
 *
 *     pnpm bench:memory [--json] [--rounds 9] [--operations 10000000]
 */
import { parseArgs } from "node:util";
import { startCPeer } from "./c-peer.ts";
import { type Contest, compete, printFigures } from "./comparison.ts";
import {
  arenaBlocks,
  batches,
  createHeap,
  createSharedMemory,
  dmaPairs,
  mixed,
  pairs,
  survivors,
  type Transfer,
  transfer,
} from "./memory-load.ts";

const PAIRS = 500_000;
const WARM_UP_ROUNDS = 2;
const SIZES = [16, 256, 4096, 16_384, 65_536, 1 << 20];
const TRANSFER_SIZES = [64, 4096, 65_536];
/** A payload behind a 44-byte header. */
const SKEW = 44;
const SURVIVOR_SIZES = [64, 256, 1024];
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

const peer = startCPeer("memory");
const heap = createHeap();
const sharedMemory = createSharedMemory();

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

/** Bytes per nanosecond. */
function bandwidth(kind: Transfer, size: number, skew: number): Contest {
  const operations = Math.ceil(2 ** 28 / (size + 4096));
  const alignment = skew === 0 ? "aligned alike" : `${skew} bytes off`;
  return {
    name: `${kind} ${bytes(size)}, ${alignment}`,
    unit: "GB/s",
    better: "higher",
    ours: () => size / transfer(sharedMemory, kind, size, skew, operations),
    theirs: peer && (async () => size / (await peer.ask(`${kind === "fill" ? "fill" : "copy"} ${size} ${operations}`))),
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
  speed("DmaBuffer of 4 KiB", () => dmaPairs(heap, 4096, PAIRS), `pairs 4096 ${PAIRS}`),
  speed("64 B of an arena", () => arenaBlocks(heap, 64, PAIRS), `pairs 64 ${PAIRS}`),
  ...TRANSFER_SIZES.flatMap((size) => [
    bandwidth("write", size, 0),
    bandwidth("write", size, SKEW),
    bandwidth("read", size, 0),
    bandwidth("read", size, SKEW),
    bandwidth("copy", size, SKEW),
    bandwidth("fill", size, SKEW),
  ]),
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
  const sparse = SURVIVOR_SIZES.map(
    (size): Contest => ({
      name: `held per byte in use when 1 % of ${bytes(size)} blocks survive`,
      unit: "B",
      better: "lower",
      ours: () => survivors(size),
      theirs: peer && (() => peer.ask(`survivors ${size}`)),
    }),
  );
  figures.push(...(await compete("bench:memory", [held, ...sparse], 1, 0)));
  printFigures("Blocks of guest memory, one core's heap of 256 MiB", "C (gcc -O2)", figures, options.json);
} finally {
  peer?.stop();
}

function bytes(size: number): string {
  if (size >= 1 << 20) return `${size >> 20} MiB`;
  return size >= 1024 ? `${size >> 10} KiB` : `${size} B`;
}
