/** Frees `count` blocks of another thread's heap, as their addresses arrive in its letter-boxes. */
import { workerData } from "node:worker_threads";
import { RemoteHeap } from "../src/allocator/index.ts";
import { type GuestAddress, GuestMemory, guestAddress } from "../src/index.ts";

interface Work {
  readonly wasm: object;
  readonly base: GuestAddress;
  readonly boxes: Int32Array;
  readonly count: number;
}

const { wasm, base, boxes, count } = workerData as Work;
const remote = new RemoteHeap({ memory: GuestMemory.attach(wasm), base });
for (let freed = 0; freed < count; ) {
  const before = freed;
  for (let box = 0; box < boxes.length; box++) {
    const address = Atomics.exchange(boxes, box, 0);
    if (address === 0) continue;
    remote.free(guestAddress(address));
    freed++;
  }
  if (freed === before) Atomics.wait(boxes, 0, 0, 1);
}
