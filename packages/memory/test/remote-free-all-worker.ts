/** Frees blocks of another thread's heap as fast as it can. */
import { workerData } from "node:worker_threads";
import { RemoteHeap } from "../src/allocator/index.ts";
import { type GuestAddress, GuestMemory } from "../src/index.ts";

interface Work {
  readonly wasm: object;
  readonly base: GuestAddress;
  readonly blocks: readonly GuestAddress[];
}

const { wasm, base, blocks } = workerData as Work;
const remote = new RemoteHeap({ memory: GuestMemory.attach(wasm), base });
for (const block of blocks) remote.free(block);
