/** Frees `count` blocks of another thread's heap, as their addresses arrive in its mailbox. */
import { parentPort, workerData } from "node:worker_threads";
import { RemoteHeap } from "../src/allocator/index.ts";
import { type GuestAddress, GuestMemory, guestAddress } from "../src/index.ts";

interface Work {
  readonly wasm: object;
  readonly base: GuestAddress;
  readonly mail: Int32Array;
  readonly index: number;
  readonly count: number;
}

const { wasm, base, mail, index, count } = workerData as Work;
const remote = new RemoteHeap({ memory: GuestMemory.attach(wasm), base });
parentPort?.postMessage("ready");
for (let freed = 0; freed < count; ) {
  const address = Atomics.exchange(mail, index, 0);
  if (address === 0) continue;
  remote.free(guestAddress(address));
  freed++;
}
