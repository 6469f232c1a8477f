/** Frees blocks of another thread's heap as fast as it can, beginning when all the workers are ready. */
import { workerData } from "node:worker_threads";
import { RemoteHeap } from "../src/allocator/index.ts";
import { type GuestAddress, GuestMemory, guestAddress } from "../src/index.ts";

interface Work {
  readonly wasm: object;
  readonly base: GuestAddress;
  readonly blocks: Float64Array;
  readonly ready: Int32Array;
  readonly workers: number;
}

const { wasm, base, blocks, ready, workers } = workerData as Work;
const remote = new RemoteHeap({ memory: GuestMemory.attach(wasm), base });
Atomics.add(ready, 0, 1);
Atomics.notify(ready, 0);
for (let seen = Atomics.load(ready, 0); seen < workers; seen = Atomics.load(ready, 0)) Atomics.wait(ready, 0, seen);
for (const block of blocks) remote.free(guestAddress(block));
