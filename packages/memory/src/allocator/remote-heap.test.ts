import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type GuestAddress, guestAddress } from "../guest-address.ts";
import { GuestMemory } from "../guest-memory.ts";
import { Heap } from "./heap.ts";
import { HeapError } from "./heap-error.ts";
import { RemoteHeap } from "./remote-heap.ts";

const SIZE = 1 << 20;
/** Starting three threads takes its time on a busy machine. */
const TIMEOUT_MS = 60_000;
const BASE = guestAddress(65_536);

function make(guarded: "guarded" | "unguarded" = "unguarded"): { heap: Heap; remote: RemoteHeap; memory: GuestMemory } {
  const memory = GuestMemory.allocate({ size: SIZE + BASE, sharing: "shared" });
  const heap = new Heap({ memory, base: BASE, size: SIZE, guarded, core: 0 });
  return { heap, memory, remote: new RemoteHeap({ memory, base: BASE }) };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the heap has no room");
  return value;
}

function errorOf(action: () => unknown): HeapError {
  try {
    action();
  } catch (error) {
    if (error instanceof HeapError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

function exitOf(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => worker.on("error", reject).on("exit", resolve));
}

describe("a remote heap", () => {
  it("is found only where a heap lies", () => {
    const { memory, heap } = make();
    expect(() => new RemoteHeap({ memory, base: guestAddress(0) })).toThrow(/no heap lies at guest address 0/);
    expect(() => new RemoteHeap({ memory, base: guestAddress(2 ** 40) })).toThrow(RangeError);
    expect(() => new RemoteHeap({ memory, base: guestAddress(BASE + 1) })).toThrow(RangeError);
    // Its page count lies in guest memory: one that cannot be is refused.
    memory.fill(guestAddress(BASE + 4), 4, 0xff);
    expect(() => new RemoteHeap({ memory, base: BASE })).toThrow(/which its region has not/);
    expect(heap.allocate(1)).toBeDefined();
  });

  it("refuses what cannot be a block of its heap", () => {
    const { remote } = make();
    for (const address of [0, BASE, BASE + 4096 + 8, BASE + SIZE, 2 ** 50, Number.NaN]) {
      expect(remote.covers(address as GuestAddress)).toBe(address === BASE + 4096 + 8);
      expect(errorOf(() => remote.free(address as GuestAddress)).code).toBe("ERR_HEAP_FOREIGN");
    }
  });

  it("gives blocks back that the owner sees when it collects", () => {
    const { heap, remote } = make();
    const blocks = [16, 100, 5000, 100_000].map((length) => must(heap.allocate(length)));
    for (const block of blocks) remote.free(block);
    expect(heap.stats()).toMatchObject({ blocksInUse: 4, remoteFrees: 0 });
    expect(heap.collectRemoteFrees()).toBe(4);
    expect(heap.stats()).toMatchObject({ blocksInUse: 0, bytesInUse: 0, remoteFrees: 4, remoteFaults: 0 });
    expect(heap.collectRemoteFrees()).toBe(0);
  });

  it("gives blocks back that the owner takes in before it takes fresh pages or finds no room", () => {
    const { heap, remote } = make();
    const all: GuestAddress[] = [];
    for (let block = heap.allocate(1000); block !== undefined; block = heap.allocate(1000)) all.push(block);
    for (const block of all) remote.free(block);
    for (const _ of all) expect(heap.allocate(1000)).toBeDefined();
    const large = make();
    const half = must(large.heap.allocate(SIZE / 2));
    large.remote.free(half);
    expect(large.heap.allocate(SIZE / 2 + 4096)).toBeDefined();
  });
});

describe("from the list of remote frees the owner learns of", () => {
  it("a block freed twice by others", () => {
    const { heap, remote } = make();
    const block = must(heap.allocate(100));
    remote.free(block);
    remote.free(block);
    const error = errorOf(() => heap.collectRemoteFrees());
    expect(error.code).toBe("ERR_HEAP_DOUBLE_FREE");
    expect(error.address).toBe(block);
    expect(heap.stats()).toMatchObject({ blocksInUse: 0, remoteFrees: 1, remoteFaults: 1 });
    expect(heap.collectRemoteFrees()).toBe(0);
  });

  it("a block freed by another and by itself", () => {
    const { heap, remote } = make();
    const block = must(heap.allocate(100));
    heap.free(block);
    remote.free(block);
    expect(errorOf(() => heap.check()).code).toBe("ERR_HEAP_DOUBLE_FREE");
  });

  it("an address inside a block", () => {
    const { heap, remote } = make();
    const block = must(heap.allocate(100_000));
    remote.free(guestAddress(block + 4096));
    expect(errorOf(() => heap.collectRemoteFrees()).code).toBe("ERR_HEAP_FOREIGN");
  });

  it("a block that a DmaBuffer holds, freed often enough to make a circle", () => {
    const { heap, remote } = make();
    const others = [must(heap.allocate(16)), must(heap.allocate(16))];
    const buffer = must(heap.allocateDma(100));
    for (const block of others) remote.free(block);
    remote.free(buffer.address);
    expect(errorOf(() => heap.collectRemoteFrees()).code).toBe("ERR_HEAP_HELD");
    expect(heap.stats()).toMatchObject({ blocksInUse: 1, remoteFrees: 2 });
    remote.free(buffer.address);
    remote.free(buffer.address);
    expect(errorOf(() => heap.collectRemoteFrees()).code).toBe("ERR_HEAP_HELD");
    expect(heap.stats().blocksInUse).toBe(1);
    buffer.free();
  });

  it("guarded, an overrun", () => {
    const { heap, remote, memory } = make("guarded");
    const block = must(heap.allocate(100));
    memory.fill(guestAddress(block + 100), 1, 1);
    remote.free(block);
    expect(errorOf(() => heap.collectRemoteFrees()).code).toBe("ERR_HEAP_OVERRUN");
    expect(heap.stats().blocksInUse).toBe(0);
    heap.check();
  });

  it.each([0xff, 0x01, 0x7f])(
    "a list that somebody wrote over with %s: no hang, no crash, no block lost that is not named",
    (byte) => {
      const { heap, remote, memory } = make();
      const blocks = Array.from({ length: 10 }, () => must(heap.allocate(64)));
      for (const block of blocks) remote.free(block);
      // The newest is the head; its link, and with it the nine behind, is gone.
      memory.fill(must(blocks.at(-1)), 4, byte);
      expect(() => heap.collectRemoteFrees()).toThrow(HeapError);
      expect(heap.stats()).toMatchObject({ blocksInUse: 9, remoteFaults: 1 });
      memory.fill(guestAddress(BASE + 8), 4, byte);
      expect(() => heap.collectRemoteFrees()).toThrow(HeapError);
      expect(heap.allocate(64)).toBeDefined();
    },
  );

  it("faults only when it asks: an allocation that takes the list in does not fail for what another did", () => {
    const { heap, remote } = make();
    const block = must(heap.allocate(64));
    remote.free(block);
    remote.free(block);
    expect(heap.allocate(100_000)).toBeDefined();
    expect(heap.stats().remoteFaults).toBe(1);
    expect(errorOf(() => heap.collectRemoteFrees()).code).toBe("ERR_HEAP_DOUBLE_FREE");
  });
});

describe("remote frees from real threads", () => {
  it("all come home, each once, while the owner allocates", { timeout: TIMEOUT_MS }, async () => {
    const { heap, memory } = make();
    const workers = 3;
    const slots = 256;
    const perWorker = 10_000;
    // A row of letter-boxes per worker, in host memory: the owner puts addresses in, the worker takes them out.
    const mail = new Int32Array(new SharedArrayBuffer(4 * workers * slots));
    const exits = Array.from({ length: workers }, (_, index) => {
      const url = new URL("../../test/remote-free-worker.ts", import.meta.url);
      const boxes = mail.subarray(index * slots, (index + 1) * slots);
      return exitOf(new Worker(url, { workerData: { wasm: memory.wasm, base: BASE, boxes, count: perWorker } }));
    });
    const sent = new Int32Array(workers);
    const pause = new Int32Array(new SharedArrayBuffer(4));
    let stamp = 0;
    let pauses = 0;
    while (sent.some((count) => count < perWorker)) {
      let progress = false;
      for (let box = 0; box < mail.length; box++) {
        const index = Math.floor(box / slots);
        const count = sent[index] ?? 0;
        if (count >= perWorker || Atomics.load(mail, box) !== 0) continue;
        stamp = (stamp + 7) & 1023;
        const block = must(heap.allocate(stamp));
        memory.fill(block, Math.min(stamp, 8), stamp & 255);
        Atomics.store(mail, box, block);
        sent[index] = count + 1;
        progress = true;
      }
      if (progress) continue;
      // A worker that died takes no more letters, and its error cannot arrive while this loop runs.
      if (++pauses > TIMEOUT_MS / 2) throw new Error("a worker takes no more blocks");
      Atomics.wait(pause, 0, 0, 1);
    }
    expect(await Promise.all(exits)).toEqual([0, 0, 0]);
    heap.collectRemoteFrees();
    heap.trim();
    expect(heap.stats()).toMatchObject({
      blocksInUse: 0,
      bytesInUse: 0,
      bytesHeld: 0,
      remoteFrees: workers * perWorker,
      remoteFaults: 0,
    });
  });

  it("of thousands of blocks at once contend for one list, and none is lost", { timeout: TIMEOUT_MS }, async () => {
    const size = 4 * SIZE;
    const memory = GuestMemory.allocate({ size, sharing: "shared" });
    const heap = new Heap({ memory, base: guestAddress(0), size });
    const workers = 3;
    const perWorker = 60_000;
    const ready = new Int32Array(new SharedArrayBuffer(4));
    const exits = Array.from({ length: workers }, () => {
      const url = new URL("../../test/remote-free-all-worker.ts", import.meta.url);
      const blocks = Float64Array.from({ length: perWorker }, () => must(heap.allocate(16)));
      return exitOf(new Worker(url, { workerData: { wasm: memory.wasm, base: heap.base, blocks, ready, workers } }));
    });
    expect(await Promise.all(exits)).toEqual([0, 0, 0]);
    expect(heap.collectRemoteFrees()).toBe(workers * perWorker);
    expect(heap.stats()).toMatchObject({ blocksInUse: 0, remoteFaults: 0 });
  });
});
