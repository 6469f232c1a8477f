// One exclusive core in a worker thread, for exclusive-loop.test.ts.
import { parentPort, workerData } from "node:worker_threads";
import { GuestMemory, guestAddress } from "@toril/memory";
import { type BusPlace, bootCore, CoreBoard, type PlainSystem, runExclusive, type WakeWord } from "../src/index.ts";

export interface CoreWorkerData {
  readonly id: number;
  readonly wasm: object;
  readonly board: SharedArrayBuffer;
  readonly bus: BusPlace;
  /** Pings this core so many times; answers pings when 0. */
  readonly pings: number;
}

const { id, wasm, board: buffer, bus: place, pings } = workerData as CoreWorkerData;
const memory = GuestMemory.attach(wasm);
const board = new CoreBoard(buffer);

const booted = bootCore<PlainSystem>({
  id,
  memory,
  heap: { base: guestAddress((1 + id) << 20), size: 1 << 20 },
  neighbours: { board, bus: place, onStopRequested: () => booted.core.cancelAll("the machine stops") },
  now: () => performance.now(),
  system: (threads) => ({ threads }),
});

const loop = runExclusive(booted.core, {
  bell: booted.core.bell as WakeWord,
  drained: () => new Promise((resolve) => setImmediate(resolve)),
});

const main = booted.core.spawn(async ({ threads }) => {
  const calls = booted.bus?.callsFor(threads);
  if (calls === undefined) throw new Error("no bus");
  if (pings === 0) {
    for (;;) {
      const { from, bytes } = await calls.receive();
      await calls.send(from, bytes);
    }
  }
  const started = threads.now();
  for (let i = 0; i < pings; i++) {
    await calls.send(0, Uint8Array.of(i & 0xff));
    const { bytes } = await calls.receive();
    if (bytes[0] !== (i & 0xff)) throw new Error(`ping ${i} came back as ${bytes[0]}`);
  }
  return (threads.now() - started) / pings;
});

const exit = await main.ended;
booted.stopped();
loop.stop();
await loop.ended;
const outcome = exit.kind === "failed" ? exit.error.message : exit.kind;
const microseconds = exit.kind === "returned" ? Number(exit.value) * 1_000 : 0;
parentPort?.postMessage({ outcome, microseconds, idle: { waits: loop.idle.waits, spinHits: loop.idle.spinHits } });
