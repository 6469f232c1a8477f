/**
 * What `pnpm bench:ring` makes the queues do; peers/ring-bench.c does the same to the C reference. Every function is
 * small and has one role, as in a real driver and a real device.
 */
import { GuestMemory, guestAddress } from "@toril/memory";
import {
  type Chain,
  type DeviceQueue,
  type DriverQueue,
  indirectTableBytes,
  layoutAt,
  type QueueLayout,
  SplitDeviceQueue,
  SplitDriverQueue,
} from "@toril/virtqueue";
import { createBumpAllocator } from "@toril/virtqueue/testing";

const QUEUE_SIZE = 256;
const MEMORY_BYTES = 32 << 20;
const RINGS = 4096;
const TABLES = 64 << 10;
const BUFFERS = 1 << 20;
const BUFFER_BYTES = 4096;

/** Two threads: how many chains a side moves before it publishes and looks at its other work. */
const THREAD_BATCH = 16;
/** A side that found nothing looks again; after this many fruitless looks it naps, for the other may want the core. */
const FRUITLESS_LOOKS = 20_000;
const NAP_MILLISECONDS = 0.1;

export interface SingleLoad {
  /** Chains between two publications. */
  readonly batch: number;
  readonly segments: number;
  readonly tables: "direct" | "indirect";
}

export interface Rings {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
}

export function createMemory(): GuestMemory {
  return GuestMemory.allocate({ size: MEMORY_BYTES, sharing: "shared" });
}

/** One thread plays both sides. Returns the work: so many chains there and back, in nanoseconds per chain. */
export function singleThread(memory: GuestMemory, { batch, segments, tables }: SingleLoad): (chains: number) => number {
  const layout = layoutAt(guestAddress(RINGS), QUEUE_SIZE);
  const buffer = createBumpAllocator(memory, guestAddress(TABLES)).allocateDma(indirectTableBytes(QUEUE_SIZE, 8));
  if (buffer === undefined) throw new Error("no memory for indirect tables");
  return (chains) => {
    const indirect = tables === "indirect" ? { indirect: { tables: buffer, maxSegments: segments } } : {};
    const driver = new SplitDriverQueue<number>({ memory, layout, eventIdx: true, ...indirect });
    const device = new SplitDeviceQueue({ memory, layout, eventIdx: true, indirect: tables === "indirect" });
    const chain = device.createChain();
    let notifications = 0;
    let bytes = 0;
    const start = process.hrtime.bigint();
    for (let done = 0; done < chains; done += batch) {
      if (segments === 1 ? lendBuffers(driver, batch, done) : lendChains(driver, batch, segments, done))
        notifications++;
      if (serve(device, chain)) notifications++;
      bytes += collect(driver);
    }
    const elapsed = Number(process.hrtime.bigint() - start);
    if (bytes !== chains * BUFFER_BYTES) throw new Error("bytes are missing");
    if (notifications > 2 + (2 * chains) / 65_536) throw new Error("unasked notifications");
    return elapsed / chains;
  };
}

function lendBuffers(driver: DriverQueue<number>, batch: number, token: number): boolean {
  for (let i = 0; i < batch; i++) {
    if (!driver.lendWritable(BUFFERS + i * 65_536, BUFFER_BYTES, token + i)) throw new Error("the ring is full");
  }
  return driver.publish();
}

function lendChains(driver: DriverQueue<number>, batch: number, segments: number, token: number): boolean {
  for (let i = 0; i < batch; i++) {
    if (!driver.beginChain(segments)) throw new Error("the ring is full");
    for (let s = 1; s < segments; s++) driver.addReadable(BUFFERS + s * 4096, 64);
    driver.addWritable(BUFFERS + i * 65_536, BUFFER_BYTES);
    driver.endChain(token + i);
  }
  return driver.publish();
}

function serve(device: DeviceQueue, chain: Chain): boolean {
  while (device.next(chain)) device.complete(chain.head, chain.length(chain.count - 1));
  return device.publish();
}

function collect(driver: DriverQueue<number>): number {
  let bytes = 0;
  while (driver.poll() !== undefined) bytes += driver.usedLength;
  return bytes;
}

/** Two threads, the driver's side: at most `depth` chains are out at a time. Returns nanoseconds per chain. */
export function drive({ memory, layout }: Rings, depth: number, chains: number): number {
  const driver = new SplitDriverQueue<number>({ memory, layout, eventIdx: true });
  const state = stateOf(memory);
  Atomics.store(state, CHAINS, chains);
  Atomics.notify(state, CHAINS);
  let sent = 0;
  let returned = 0;
  let fruitless = 0;
  const start = process.hrtime.bigint();
  while (returned < chains) {
    const lent = lendUpTo(driver, Math.min(THREAD_BATCH, chains - sent, depth - (sent - returned)), sent);
    sent += lent;
    const collected = collectSome(driver);
    returned += collected;
    if (lent + collected > 0) {
      fruitless = 0;
    } else {
      if (driver.violation !== undefined) throw new Error(driver.violation.message);
      fruitless = waitALittle(memory, fruitless);
    }
  }
  return Number(process.hrtime.bigint() - start) / chains;
}

/** Two threads, the device's side, in a worker: serves one run of `drive` after the other, for ever. */
export function serveRuns(rings: Rings): never {
  const state = stateOf(rings.memory);
  for (;;) {
    Atomics.wait(state, CHAINS, 0);
    serveRun(rings, Atomics.exchange(state, CHAINS, 0));
  }
}

function serveRun({ memory, layout }: Rings, chains: number): void {
  const device = new SplitDeviceQueue({ memory, layout, eventIdx: true, indirect: false });
  const chain = device.createChain();
  let fruitless = 0;
  for (let served = 0; served < chains; ) {
    const taken = serveSome(device, chain);
    if (taken === 0) {
      if (device.violation !== undefined) throw new Error(device.violation.message);
      fruitless = waitALittle(memory, fruitless);
    } else {
      fruitless = 0;
      served += taken;
    }
  }
}

export function threadRings(memory: GuestMemory): Rings {
  return { memory, layout: layoutAt(guestAddress(RINGS), QUEUE_SIZE) };
}

/** Word 0 of the memory: how many chains the device shall serve; 0: none. Word 1 is what nobody rings. */
const CHAINS = 0;
const NOTHING = 1;

function stateOf(memory: GuestMemory): Int32Array {
  const [region] = memory.regions;
  if (region === undefined) throw new Error("a guest memory has a region");
  return region.i32;
}

function lendUpTo(driver: DriverQueue<number>, count: number, token: number): number {
  for (let i = 0; i < count; i++) {
    const buffer = (token + i) & (QUEUE_SIZE - 1);
    if (!driver.lendWritable(BUFFERS + buffer * 65_536, BUFFER_BYTES, token + i)) throw new Error("the ring is full");
  }
  if (count > 0) driver.publish();
  return count;
}

function collectSome(driver: DriverQueue<number>): number {
  let collected = 0;
  while (collected < THREAD_BATCH && driver.poll() !== undefined) collected++;
  return collected;
}

function serveSome(device: DeviceQueue, chain: Chain): number {
  let taken = 0;
  while (taken < THREAD_BATCH && device.next(chain)) {
    device.complete(chain.head, chain.length(chain.count - 1));
    taken++;
  }
  if (taken > 0) device.publish();
  return taken;
}

function waitALittle(memory: GuestMemory, fruitless: number): number {
  if (fruitless < FRUITLESS_LOOKS) return fruitless + 1;
  Atomics.wait(stateOf(memory), NOTHING, 0, NAP_MILLISECONDS);
  return 0;
}
