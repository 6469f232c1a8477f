/** The device thread of the stress test: completes every chain, out of order, and sleeps whenever it may. */
import { parentPort, workerData } from "node:worker_threads";
import { GuestMemory } from "@toril/memory";
import { type Chain, type QueueLayout, SplitDeviceQueue } from "../src/index.ts";

export interface EchoWork {
  readonly wasm: object;
  readonly layout: QueueLayout;
  readonly eventIdx: boolean;
  /** Word 0: rung for the device; word 1: rung for the driver; word 2: stop. */
  readonly bells: Int32Array;
  /** How many chains the device holds back at most before it returns any. */
  readonly hold: number;
}

const { wasm, layout, eventIdx, bells, hold } = workerData as EchoWork;
const memory = GuestMemory.attach(wasm);
const queue = new SplitDeviceQueue({ memory, layout, eventIdx, indirect: true });
const free: Chain[] = Array.from({ length: layout.size }, () => queue.createChain());
const held: Chain[] = [];
let seed = 1;
let asleep = 0;
let interrupts = 0;
let wrong = 0;

/** A small deterministic generator: which held chain comes back next. */
function random(limit: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
  return (seed >>> 8) % limit;
}

/** Writes each readable byte plus one to the writable part, and returns the chain. */
function giveBack(chain: Chain): void {
  const bytes = new Uint8Array(chain.readableBytes);
  if (chain.read(0, bytes) !== bytes.length) wrong++;
  for (let i = 0; i < bytes.length; i++) bytes[i] = (bytes[i] ?? 0) + 1;
  queue.complete(chain.head, chain.write(0, bytes));
  free.push(chain);
}

function interrupt(): void {
  interrupts++;
  Atomics.add(bells, 1, 1);
  Atomics.notify(bells, 1);
}

while (Atomics.load(bells, 2) === 0) {
  const rung = Atomics.load(bells, 0);
  let worked = false;
  for (;;) {
    const chain = free.pop();
    if (chain === undefined) break;
    if (!queue.next(chain)) {
      free.push(chain);
      break;
    }
    worked = true;
    held.push(chain);
  }
  const keep = worked ? random(hold + 1) : 0;
  while (held.length > keep) {
    const [chain] = held.splice(random(held.length), 1);
    if (chain !== undefined) giveBack(chain);
    if (random(4) === 0 && queue.publish()) interrupt();
  }
  if (queue.publish()) interrupt();
  if (queue.violation !== undefined) break;
  if (!worked && held.length === 0 && !queue.armAvailableNotifications()) {
    asleep++;
    // Half a minute is "for ever": a lost wake-up ends the test here, and shows in `timedOut`.
    if (Atomics.wait(bells, 0, rung, 30_000) === "timed-out") break;
    queue.suppressAvailableNotifications();
  }
}
parentPort?.postMessage({ violation: queue.violation, asleep, interrupts, wrong, outstanding: queue.outstanding });
