/**
 * Nanoseconds per chain through a split ring, one thread playing both roles: add + publish + next + complete +
 * publish + poll. Run it from the package:
 *
 *     node --conditions=@toril/source --import tsx bench/ring.ts [--json]
 *
 * Every figure is the median of ROUNDS runs, taken in turns, because a shared machine drifts; compare ratios of one
 * run, not figures of two.
 */
import { type DmaAllocator, DmaBuffer, GuestMemory, guestAddress } from "@toril/memory";
import { type Chain, indirectTableBytes, layoutAt, SplitDeviceQueue, SplitDriverQueue } from "../src/index.ts";

const QUEUE_SIZE = 256;
const OPERATIONS = 400_000;
const ROUNDS = 15;
const BUFFERS = 1 << 20;

interface Case {
  readonly name: string;
  readonly batch: number;
  readonly segments: number;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly sharing: "shared" | "unshared";
}

const base: Case = { name: "", batch: 16, segments: 1, eventIdx: true, indirect: false, sharing: "shared" };
const cases: readonly Case[] = [
  { ...base, name: "batch 1", batch: 1 },
  { ...base, name: "batch 16" },
  { ...base, name: "batch 16, flags", eventIdx: false },
  { ...base, name: "batch 16, unshared", sharing: "unshared" },
  { ...base, name: "batch 16, chains of 3", segments: 3 },
  { ...base, name: "batch 16, chains of 3, indirect", segments: 3, indirect: true },
];

/** A bump allocator: the benchmark frees nothing. */
function bump(memory: GuestMemory): DmaAllocator {
  let next = 64 * 1024;
  return {
    memory,
    allocateDma(length, alignment = 16) {
      const address = Math.ceil(next / alignment) * alignment;
      next = address + length;
      return new DmaBuffer(memory, guestAddress(address), length, () => undefined);
    },
  };
}

/** Returns nanoseconds per chain. */
function prepare({ batch, segments, eventIdx, indirect, sharing }: Case): () => number {
  const memory = GuestMemory.allocate({ size: 4 << 20, sharing });
  const layout = layoutAt(guestAddress(4096), QUEUE_SIZE);
  const tables = indirect ? bump(memory).allocateDma(indirectTableBytes(QUEUE_SIZE, segments)) : undefined;
  const driver = new SplitDriverQueue<number>({
    memory,
    layout,
    eventIdx,
    ...(tables === undefined ? {} : { indirect: { tables, maxSegments: segments } }),
  });
  const device = new SplitDeviceQueue({ memory, layout, eventIdx, indirect });
  const chain = device.createChain();
  return () => {
    let notifications = 0;
    const start = process.hrtime.bigint();
    for (let done = 0; done < OPERATIONS; done += batch) {
      if (lend(driver, batch, segments, done)) notifications++;
      if (serve(device, chain)) notifications++;
      if (collect(driver) !== batch) throw new Error("chains are missing");
    }
    const elapsed = Number(process.hrtime.bigint() - start);
    if (eventIdx && notifications > 2 + (2 * OPERATIONS) / 65_536) throw new Error("unasked notifications");
    return elapsed / OPERATIONS;
  };
}

// One function per role and direction, as in a real driver and a real device.

function lend(driver: SplitDriverQueue<number>, batch: number, segments: number, token: number): boolean {
  for (let i = 0; i < batch; i++) {
    if (!driver.beginChain(segments)) throw new Error("the ring is full");
    for (let s = 1; s < segments; s++) driver.addReadable(BUFFERS + s * 4096, 64);
    driver.addWritable(BUFFERS + i * 65_536, 4096);
    driver.endChain(token + i);
  }
  return driver.publish();
}

function serve(device: SplitDeviceQueue, chain: Chain): boolean {
  while (device.next(chain)) device.complete(chain.head, chain.length(chain.count - 1));
  return device.publish();
}

function collect(driver: SplitDriverQueue<number>): number {
  let taken = 0;
  while (driver.poll() !== undefined) taken++;
  return taken;
}

const runs = cases.map((each) => ({ name: each.name, run: prepare(each), figures: [] as number[] }));
for (let round = 0; round < ROUNDS + 2; round++) {
  for (const { run, figures } of runs) {
    const figure = run();
    if (round >= 2) figures.push(figure); // the first rounds warm up
  }
}
const results = runs.map(({ name, figures }) => {
  const sorted = figures.sort((a, b) => a - b);
  return { name, median: sorted[sorted.length >> 1] ?? 0, least: sorted[0] ?? 0 };
});
if (process.argv.includes("--json")) {
  console.log(JSON.stringify({ queueSize: QUEUE_SIZE, operations: OPERATIONS, rounds: ROUNDS, results }));
} else {
  console.log(`ns per chain, queue of ${QUEUE_SIZE}: median (least) of ${ROUNDS} rounds`);
  for (const { name, median, least } of results) {
    console.log(`  ${name.padEnd(34)} ${median.toFixed(1).padStart(7)} (${least.toFixed(1)})`);
  }
}
